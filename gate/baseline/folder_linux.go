package baseline

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFolder waits until nobody holds the folder, or, where it is to be shared,
// until nobody holds it alone. The kernel lets go of it when its holder dies.
func lockFolder(dir string, shared bool) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
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
