// sshj against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use 8 MiB, and has no
// files. Any difference ends it with an exception.
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Random;
import java.util.TreeSet;
import net.schmizz.sshj.SSHClient;
import net.schmizz.sshj.sftp.FileAttributes;
import net.schmizz.sshj.sftp.FileMode;
import net.schmizz.sshj.sftp.OpenMode;
import net.schmizz.sshj.sftp.RemoteFile;
import net.schmizz.sshj.sftp.RemoteResourceInfo;
import net.schmizz.sshj.sftp.RenameFlags;
import net.schmizz.sshj.sftp.Response.StatusCode;
import net.schmizz.sshj.sftp.SFTPClient;
import net.schmizz.sshj.sftp.SFTPException;
import net.schmizz.sshj.transport.verification.PromiscuousVerifier;
import net.schmizz.sshj.userauth.UserAuthException;

class Sshj {
    interface Call { void run() throws Exception; }

    static void check(boolean holds, Object told) {
        if (!holds) throw new AssertionError(told);
    }

    static void refused(Call call, StatusCode code, String words) throws Exception {
        try {
            call.run();
        } catch (SFTPException error) {
            check(error.getStatusCode() == code && error.getMessage().contains(words), error);
            return;
        }
        throw new AssertionError("not refused: " + words);
    }

    static SSHClient connected(String[] args) throws Exception {
        SSHClient client = new SSHClient();
        client.addHostKeyVerifier(new PromiscuousVerifier());
        client.connect(args[0], Integer.parseInt(args[1]));
        return client;
    }

    public static void main(String[] args) throws Exception {
        // Logins: a wrong password and then the right one, a key.
        try (SSHClient client = connected(args)) {
            try {
                client.authPassword(args[2], "wrong");
                throw new AssertionError("a wrong password was taken");
            } catch (UserAuthException error) {
                client.authPassword(args[2], args[5]);
            }
        }
        SSHClient client = connected(args);
        client.authPublickey(args[2], args[3]);
        SFTPClient sftp = client.newSFTPClient();
        Path folder = Path.of(args[4]);
        String here = args[4] + "/";

        byte[] data = new byte[2_000_003];
        new Random(1).nextBytes(data);
        Files.write(folder.resolve("data"), data);
        Files.setLastModifiedTime(folder.resolve("data"), java.nio.file.attribute.FileTime.fromMillis(1_000_000_001_000L));
        sftp.put(here + "data", "data");
        sftp.get("data", here + "back");
        check(Arrays.equals(data, Files.readAllBytes(folder.resolve("back"))), "put and get");
        check(sftp.stat("data").getMtime() == 1_000_000_001, "put keeps the time");

        // Resume in both directions, and append.
        Files.write(folder.resolve("cut"), Arrays.copyOf(data, 700_001));
        sftp.put(here + "cut", "cut");
        sftp.getFileTransfer().upload(here + "data", "cut", 700_001);
        sftp.getFileTransfer().download("cut", here + "cut", 700_001);
        check(Arrays.equals(data, Files.readAllBytes(folder.resolve("cut"))), "resume");
        for (int i = 0; i < 2; i++) {
            try (RemoteFile file = sftp.open("log", EnumSet.of(OpenMode.WRITE, OpenMode.CREAT, OpenMode.APPEND))) {
                file.write(0, "line\n".getBytes(), 0, 5);
            }
        }
        check(sftp.size("log") == 10, "append");
        refused(() -> sftp.open("log", EnumSet.of(OpenMode.WRITE, OpenMode.CREAT, OpenMode.EXCL)),
            StatusCode.FAILURE, "File already exists");

        // Attributes.
        sftp.chmod("data", 0640);
        sftp.setattr("data", new FileAttributes.Builder().withAtimeMtime(5, 6).build());
        FileAttributes found = sftp.stat("data");
        check(found.getMode().getPermissionsMask() == 0640 && found.getMtime() == 6, found);
        sftp.truncate("log", 5);

        // Names: links have the right target; a rename replaces only on request.
        // It sends both in the order of its arguments: as with OpenSSH, the target comes first.
        sftp.symlink("data", "link");
        check(sftp.readlink("link").equals("data"), sftp.readlink("link"));
        check(sftp.lstat("link").getType() == FileMode.Type.SYMLINK, "lstat");
        check(sftp.canonicalize("link").equals("/data"), sftp.canonicalize("link"));
        refused(() -> sftp.rename("cut", "log"), StatusCode.FAILURE, "File already exists");
        sftp.rename("cut", "log", EnumSet.of(RenameFlags.OVERWRITE));
        check(sftp.size("log") == data.length, "rename");
        sftp.mkdirs("folder/in");
        TreeSet<String> names = new TreeSet<>();
        for (RemoteResourceInfo entry : sftp.ls("/")) names.add(entry.getName());
        check(names.toString().equals("[data, folder, link, log]"), names);
        check(sftp.statExistence("none") == null, "none");

        // What does not fit is refused with a message.
        Files.write(folder.resolve("big"), new byte[9 << 20]);
        refused(() -> sftp.put(here + "big", "big"), StatusCode.FAILURE, "Quota exceeded");
        for (String name : new String[] {"big", "data", "link", "log"}) sftp.rm(name);
        sftp.rmdir("folder/in");
        sftp.rmdir("folder");
        client.disconnect();
    }
}
