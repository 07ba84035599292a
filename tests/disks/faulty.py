"""A file system that passes everything on to a folder, and fails as it is told to.

    faulty.py FOLDER MOUNTPOINT FAULTS SECONDS

Each line of the file FAULTS is an operation and an errno, and for "write" the offset of the byte
that cannot be written, nor any behind it: "write 5 100000". The file is read anew at each operation.
For so many seconds the kernel knows what it has asked for. Runs until it is unmounted.
"""

import os
import sys

import mfusepy


class Faulty(mfusepy.Operations):
    use_ns = True

    def __init__(self, folder, faults):
        self.folder = folder
        self.faults = faults

    def faults_of(self, operation):
        try:
            with open(self.faults) as lines:
                faults = [line.split() for line in lines]
        except FileNotFoundError:
            return
        for name, *numbers in faults:
            if name == operation:
                yield [int(number) for number in numbers]

    def fail(self, operation):
        for (number,) in self.faults_of(operation):
            raise mfusepy.FuseOSError(number)

    def real(self, path):
        return self.folder + path

    def getattr(self, path, fh=None):
        found = os.fstat(fh) if fh is not None else os.lstat(self.real(path))
        names = ("atime_ns", "ctime_ns", "mtime_ns", "gid", "uid", "mode", "nlink", "size")
        attributes = {"st_" + name: getattr(found, "st_" + name) for name in names}
        return {name.removesuffix("_ns"): value for name, value in attributes.items()}

    def readdir(self, path, fh):
        self.fail("readdir")
        return [".", "..", *os.listdir(self.real(path))]

    def readlink(self, path):
        return os.readlink(self.real(path))

    def statfs(self, path):
        found = os.statvfs(self.real(path))
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}

    def create(self, path, mode, fi=None):
        self.fail("create")
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def mknod(self, path, mode, dev):
        os.mknod(self.real(path), mode, dev)

    def open(self, path, flags):
        # The kernel has seen to append and truncate.
        return os.open(self.real(path), os.O_RDWR)

    def read(self, path, size, offset, fh):
        self.fail("read")
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        for number, first_bad in self.faults_of("write"):
            if offset >= first_bad:
                raise mfusepy.FuseOSError(number)
            data = data[:first_bad - offset]
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        self.fail("truncate")
        os.truncate(fh if fh is not None else self.real(path), length)

    def fsync(self, path, datasync, fh):
        self.fail("fsync")
        os.fsync(fh)

    def fsyncdir(self, path, datasync, fh):
        self.fail("fsyncdir")

    def flush(self, path, fh):
        self.fail("flush")

    def release(self, path, fh):
        os.close(fh)

    def unlink(self, path):
        self.fail("unlink")
        os.unlink(self.real(path))

    def rename(self, old, new):
        self.fail("rename")
        os.rename(self.real(old), self.real(new))

    def mkdir(self, path, mode):
        self.fail("mkdir")
        os.mkdir(self.real(path), mode)

    def rmdir(self, path):
        self.fail("rmdir")
        os.rmdir(self.real(path))

    def link(self, target, source):
        self.fail("link")
        os.link(self.real(source), self.real(target))

    def symlink(self, target, source):
        self.fail("symlink")
        os.symlink(source, self.real(target))

    def chmod(self, path, mode):
        self.fail("chmod")
        os.chmod(self.real(path), mode)

    def chown(self, path, uid, gid):
        os.chown(self.real(path), uid, gid)

    def utimens(self, path, times=None):
        os.utime(self.real(path), ns=times)


if __name__ == "__main__":
    folder, mountpoint, faults, known = sys.argv[1:]
    # What the kernel remembers hides faults.
    mfusepy.FUSE(
        Faulty(folder, faults), mountpoint, foreground=True, attr_timeout=int(known), entry_timeout=int(known),
        default_permissions=True, fsname="faulty",
    )
