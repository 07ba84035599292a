// Apache Commons VFS (with JSch) against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may
// use 8 MiB, and has no files. Any difference ends it with an exception.
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import java.util.TreeSet;
import org.apache.commons.vfs2.FileObject;
import org.apache.commons.vfs2.FileSystemException;
import org.apache.commons.vfs2.FileSystemOptions;
import org.apache.commons.vfs2.Selectors;
import org.apache.commons.vfs2.VFS;
import org.apache.commons.vfs2.auth.StaticUserAuthenticator;
import org.apache.commons.vfs2.impl.DefaultFileSystemConfigBuilder;
import org.apache.commons.vfs2.impl.StandardFileSystemManager;
import org.apache.commons.vfs2.provider.sftp.IdentityInfo;
import org.apache.commons.vfs2.provider.sftp.SftpFileSystemConfigBuilder;

class Vfs {
    static void check(boolean holds, Object told) {
        if (!holds) throw new AssertionError(told);
    }

    static String words(Throwable error) {
        String all = "";
        for (; error != null; error = error.getCause()) all += error.getMessage() + "\n";
        return all;
    }

    static FileSystemOptions options(String[] args, String key, String password) throws Exception {
        FileSystemOptions options = new FileSystemOptions();
        SftpFileSystemConfigBuilder sftp = SftpFileSystemConfigBuilder.getInstance();
        sftp.setStrictHostKeyChecking(options, "no");
        sftp.setUserDirIsRoot(options, false);
        sftp.setConnectTimeout(options, Duration.ofSeconds(10));
        if (key != null) sftp.setIdentityProvider(options, new IdentityInfo(new File(key)));
        DefaultFileSystemConfigBuilder.getInstance().setUserAuthenticator(
            options, new StaticUserAuthenticator(null, args[2], password));
        return options;
    }

    public static void main(String[] args) {
        // Its own threads would keep it running.
        try {
            exercise(args);
            System.exit(0);
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
    }

    static void exercise(String[] args) throws Exception {
        String url = "sftp://" + args[0] + ":" + args[1] + "/";
        StandardFileSystemManager files = (StandardFileSystemManager) VFS.getManager();
        // Logins: a wrong password, the right one, a key.
        try {
            files.resolveFile(url, options(args, null, "wrong")).exists();
            throw new AssertionError("a wrong password was taken");
        } catch (FileSystemException error) {
            check(words(error).contains("Auth fail"), words(error));
        }
        check(files.resolveFile(url, options(args, null, args[5])).isFolder(), "password");
        FileObject root = files.resolveFile(url, options(args, args[3], null));
        Path folder = Path.of(args[4]);

        byte[] data = new byte[2_000_003];
        new Random(1).nextBytes(data);
        Files.write(folder.resolve("data"), data);
        FileObject local = files.resolveFile(folder.resolve("data").toUri().toString());
        FileObject there = root.resolveFile("data");
        there.copyFrom(local, Selectors.SELECT_SELF);
        check(Arrays.equals(data, there.getContent().getByteArray()), "put and get");

        // Append, and read from the middle.
        FileObject log = root.resolveFile("log");
        for (int i = 0; i < 2; i++) {
            try (var stream = log.getContent().getOutputStream(true)) {
                stream.write("line\n".getBytes());
            }
        }
        check(log.getContent().getSize() == 10, "append");
        try (var middle = there.getContent().getRandomAccessContent(org.apache.commons.vfs2.util.RandomAccessMode.READ)) {
            middle.seek(1_000_000);
            check(middle.readByte() == data[1_000_000], "read in the middle");
        }

        // Attributes.
        there.getContent().setLastModifiedTime(1_000_000_001_000L);
        there.setExecutable(true, true);
        there.refresh();
        check(there.getContent().getLastModifiedTime() == 1_000_000_001_000L, "time");
        check(there.isExecutable(), "mode");

        // Names: a move replaces.
        there.moveTo(log);
        log.refresh();
        check(log.getContent().getSize() == data.length && !there.exists(), "move");
        root.resolveFile("folder/in").createFolder();
        root.refresh();
        TreeSet<String> names = new TreeSet<>();
        for (FileObject child : root.getChildren()) names.add(child.getName().getBaseName());
        check(names.toString().equals("[folder, log]"), names);

        // What does not fit is refused with a message. The stream is not closed, since that hangs.
        var stream = root.resolveFile("big").getContent().getOutputStream();
        try {
            stream.write(new byte[9 << 20]);
            throw new AssertionError("not refused");
        } catch (java.io.IOException error) {
            check(words(error).contains("Quota exceeded"), words(error));
        }
    }
}
