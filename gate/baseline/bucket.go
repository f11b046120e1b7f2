package baseline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"
)

// OpenURL opens an object store:
//
//	s3://BUCKET/PREFIX?region=…&endpoint=…&use_path_style=true
//	file:///FOLDER
//
// Credentials come from the environment only (AWS_ACCESS_KEY_ID and its
// companions, or what a build machine's identity names there), never from the
// URL, from files in the home folder, or from a metadata service that a
// machine happens to have.
//
// The stores of other clouds are left out on purpose: their drivers would add
// 33 MB (Google) and 5.5 MB (Azure) to a tool that most people use with a folder.
// Both clouds, or a gateway before them, speak S3.
func OpenURL(ctx context.Context, place string) (Store, error) {
	u, err := url.Parse(place)
	if err != nil {
		return nil, fmt.Errorf("baseline URL: %w", err)
	}
	if u.User != nil {
		return nil, fmt.Errorf("baseline %s: credentials do not belong into the URL: put them into the environment", u.Redacted())
	}
	switch u.Scheme {
	case "s3":
		return openS3(ctx, u)
	case "file":
		return openFiles(u)
	}
	return nil, fmt.Errorf("baseline %s: s3:// and file:// are known, or a folder", place)
}

// s3Options are the query's keys that are known, with what each sets.
var s3Options = map[string]func(o *s3.Options, value string) error{
	"region": func(o *s3.Options, value string) error { o.Region = value; return nil },
	"endpoint": func(o *s3.Options, value string) error {
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return errors.New("want a URL such as https://s3.example.org")
		}
		o.BaseEndpoint = aws.String(value)
		return nil
	},
	"use_path_style": func(o *s3.Options, value string) error {
		if value != "true" && value != "false" {
			return errors.New("want true or false")
		}
		o.UsePathStyle = value == "true"
		return nil
	},
}

func openS3(ctx context.Context, u *url.URL) (Store, error) {
	var set []func(*s3.Options)
	query := u.Query()
	if u.Host == "" {
		return nil, fmt.Errorf("baseline %s: no bucket: write s3://BUCKET/PREFIX", u)
	}
	for key, values := range query {
		option, ok := s3Options[key]
		if !ok || len(values) != 1 {
			return nil, fmt.Errorf("baseline %s: %s: region, endpoint and use_path_style are known, each once", u, key)
		}
		if err := option(&s3.Options{}, values[0]); err != nil {
			return nil, fmt.Errorf("baseline %s: %s: %w", u, key, err)
		}
		set = append(set, func(o *s3.Options) { _ = option(o, values[0]) }) // checked above
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithSharedConfigFiles([]string{}), config.WithSharedCredentialsFiles([]string{}),
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", u, err)
	}
	b, err := s3blob.OpenBucket(ctx, s3.NewFromConfig(cfg, set...), u.Host, nil)
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", u, err)
	}
	return newObjects(u, b, strings.Trim(u.Path, "/")), nil
}

// openFiles opens the layout of a bucket in a folder, for a shared disk. Its
// recorders take turns, since between looking for a file and creating it another
// process may have.
func openFiles(u *url.URL) (Store, error) {
	dir := filepath.FromSlash(u.Path)
	if u.Host != "" || !filepath.IsAbs(dir) || u.RawQuery != "" {
		return nil, fmt.Errorf("baseline %s: write file:///FOLDER, an absolute path", u)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: %s: no such folder", ErrUnreachable, u)
	}
	b, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, u, err)
	}
	store := newObjects(u, b, "")
	store.lock = func() (func(), error) { return lockFolder(dir, false) }
	return store, nil
}

func newObjects(u *url.URL, b *blob.Bucket, prefix string) *objects {
	if prefix != "" {
		b = blob.PrefixedBucket(b, prefix+"/")
	}
	shown := *u
	shown.RawQuery = ""
	return &objects{bucket: cloud{b}, name: shown.String()}
}

// cloud is a bucket of gocloud.dev.
type cloud struct{ b *blob.Bucket }

func (c cloud) close() error { return c.b.Close() }

func (c cloud) list(ctx context.Context, prefix string, most int) ([]string, error) {
	var names []string
	it := c.b.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
	for {
		object, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if len(names) == most {
			return nil, fmt.Errorf("more than %d objects below %s", most, prefix)
		}
		name := path.Base(object.Key)
		if object.IsDir {
			name += "/"
		}
		names = append(names, name)
	}
}

func (c cloud) read(ctx context.Context, key string, most int64) ([]byte, error) {
	r, err := c.b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, known(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", key, ErrTooLarge, most)
	}
	return data, nil
}

func (c cloud) create(ctx context.Context, key string, data []byte) error {
	return known(c.b.WriteAll(ctx, key, data, &blob.WriterOptions{
		IfNotExist: true, ContentType: "application/octet-stream", DisableContentTypeDetection: true,
	}))
}

func (c cloud) remove(ctx context.Context, key string) error { return known(c.b.Delete(ctx, key)) }

// known maps the two errors that say something about an object.
func known(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}
