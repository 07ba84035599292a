// JSch against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use 8 MiB, and has no
// files. Any difference ends it with an exception.
import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.JSchException;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpException;
import com.jcraft.jsch.SftpProgressMonitor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.TreeSet;

class Jsch {
    interface Call { void run() throws Exception; }

    static void check(boolean holds, Object told) {
        if (!holds) throw new AssertionError(told);
    }

    static void refused(Call call, int code, String words) throws Exception {
        try {
            call.run();
        } catch (SftpException error) {
            check(error.id == code && error.getMessage().contains(words), error.id + error.getMessage());
            return;
        }
        throw new AssertionError("not refused: " + words);
    }

    static Session session(String[] args, String key, String password) throws Exception {
        JSch jsch = new JSch();
        if (key != null) jsch.addIdentity(key);
        Session session = jsch.getSession(args[2], args[0], Integer.parseInt(args[1]));
        session.setConfig("StrictHostKeyChecking", "no");
        if (password != null) session.setPassword(password);
        session.connect(10_000);
        return session;
    }

    static ChannelSftp open(Session session) throws Exception {
        ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect(10_000);
        return sftp;
    }

    public static void main(String[] args) throws Exception {
        // Logins: a wrong password, the right one, a key.
        try {
            session(args, null, "wrong");
            throw new AssertionError("a wrong password was taken");
        } catch (JSchException error) {
            check(error.getMessage().startsWith("Auth fail"), error);
        }
        session(args, null, args[5]).disconnect();
        Session session = session(args, args[3], null);
        // Its own thread would keep a failed test running.
        try {
            exercise(session, args[4]);
        } finally {
            session.disconnect();
        }
    }

    static void exercise(Session session, String here) throws Exception {
        ChannelSftp sftp = open(session);
        check(sftp.getHome().equals("/"), sftp.getHome());
        Path folder = Path.of(here);
        sftp.lcd(here);

        byte[] data = new byte[2_000_003];
        new Random(1).nextBytes(data);
        Files.write(folder.resolve("data"), data);
        sftp.put("data", "data");
        sftp.get("data", "back");
        check(Arrays.equals(data, Files.readAllBytes(folder.resolve("back"))), "put and get");

        // Resume in both directions, and append.
        Files.write(folder.resolve("part"), Arrays.copyOf(data, 700_001));
        sftp.put("part", "cut");
        sftp.put("data", "cut", ChannelSftp.RESUME);
        Files.copy(folder.resolve("part"), folder.resolve("back2"));
        sftp.get("cut", "back2", (SftpProgressMonitor) null, ChannelSftp.RESUME);
        check(Arrays.equals(data, Files.readAllBytes(folder.resolve("back2"))), "resume");
        Files.writeString(folder.resolve("line"), "line\n");
        sftp.put("line", "log");
        sftp.put("line", "log", ChannelSftp.APPEND);
        check(new String(sftp.get("log").readAllBytes()).equals("line\nline\n"), "append");

        // Attributes.
        sftp.chmod(0640, "data");
        sftp.setMtime("data", 1_000_000_001);
        check((sftp.stat("data").getPermissions() & 07777) == 0640, "mode");
        check(sftp.stat("data").getMTime() == 1_000_000_001, "time");
        check(sftp.statVFS("/").getSize() == 8192, "KiB: " + sftp.statVFS("/").getSize());

        // Names: a rename replaces; links lead where they say.
        sftp.rename("cut", "log");
        check(sftp.stat("log").getSize() == data.length, "rename");
        sftp.symlink("data", "link");
        check(sftp.readlink("link").equals("data") && sftp.lstat("link").isLink(), "symlink");
        sftp.hardlink("log", "second");
        sftp.mkdir("folder");
        sftp.cd("folder");
        check(sftp.pwd().equals("/folder"), sftp.pwd());
        sftp.cd("..");
        TreeSet<String> names = new TreeSet<>();
        for (ChannelSftp.LsEntry entry : sftp.ls("/")) names.add(entry.getFilename());
        names.removeAll(Arrays.asList(".", ".."));
        check(names.toString().equals("[data, folder, link, log, second]"), names);
        ChannelSftp first = sftp;
        refused(() -> first.stat("none"), ChannelSftp.SSH_FX_NO_SUCH_FILE, "No such file");

        // What does not fit is refused with a message.
        Files.write(folder.resolve("big"), new byte[9 << 20]);
        refused(() -> first.put("big", "big"), ChannelSftp.SSH_FX_FAILURE, "Quota exceeded");
        // The replies to its other WRITEs are still pending, and JSch takes them for the replies to the next
        // requests: the channel is unusable after it.
        sftp.disconnect();
        sftp = open(session);
        for (String name : new String[] {"big", "data", "link", "log", "second"}) sftp.rm(name);
        sftp.rmdir("folder");
    }
}
