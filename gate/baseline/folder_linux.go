package baseline

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFolder waits until no other process holds the folder. The kernel lets go
// of it when its holder dies.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// exchange swaps two folders in one step, and falls back to two where the file
// system cannot.
func exchange(fresh, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return exchangeInTwo(fresh, dir)
	}
	return err
}
