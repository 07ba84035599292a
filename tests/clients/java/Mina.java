// Apache MINA SSHD's client against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use
// 8 MiB, and has no files. Any difference ends it with an exception.
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.keyverifier.AcceptAllServerKeyVerifier;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.SshException;
import org.apache.sshd.common.channel.Channel;
import org.apache.sshd.common.channel.ChannelListener;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.sftp.client.SftpClient;
import org.apache.sshd.sftp.client.SftpClient.OpenMode;
import org.apache.sshd.sftp.client.SftpClientFactory;
import org.apache.sshd.sftp.client.extensions.openssh.OpenSSHStatPathExtension;
import org.apache.sshd.sftp.client.fs.SftpFileSystem;
import org.apache.sshd.sftp.common.SftpException;

class Mina {
    interface Call { void run() throws Exception; }

    static void check(boolean holds, Object told) {
        if (!holds) throw new AssertionError(told);
    }

    static void refused(Call call, int code, String words) throws Exception {
        try {
            call.run();
        } catch (SftpException error) {
            check(error.getStatus() == code && error.getMessage().contains(words), error);
            return;
        }
        throw new AssertionError("not refused: " + words);
    }

    static ClientSession session(SshClient client, String[] args, String password) throws Exception {
        ClientSession session = client.connect(args[2], args[0], Integer.parseInt(args[1])).verify(10_000).getSession();
        if (password != null) session.addPasswordIdentity(password);
        else session.addPublicKeyIdentity(new FileKeyPairProvider(Path.of(args[3])).loadKeys(null).iterator().next());
        session.auth().verify(10_000);
        return session;
    }

    public static void main(String[] args) throws Exception {
        SshClient client = SshClient.setUpDefaultClient();
        client.setServerKeyVerifier(AcceptAllServerKeyVerifier.INSTANCE);
        client.setKeyIdentityProvider(none -> List.of());
        client.start();
        // Logins: a wrong password, the right one, a key.
        try {
            session(client, args, "wrong");
            throw new AssertionError("a wrong password was taken");
        } catch (SshException error) {
            check(error.getMessage().contains("authentication"), error);
        }
        session(client, args, args[5]).close();
        ClientSession session = session(client, args, null);
        SftpClient sftp = SftpClientFactory.instance().createSftpClient(session);
        Path folder = Path.of(args[4]);

        byte[] data = new byte[2_000_003];
        new Random(1).nextBytes(data);
        Files.write(folder.resolve("data"), data);
        sftp.put(folder.resolve("data"), "data");
        check(Arrays.equals(data, sftp.read("data").readAllBytes()), "put and read");

        // Resume at an offset, append, and an exclusive open.
        try (var stream = sftp.write("cut")) {
            stream.write(data, 0, 700_001);
        }
        try (SftpClient.CloseableHandle handle = sftp.open("cut", OpenMode.Write)) {
            sftp.write(handle, 700_001, data, 700_001, data.length - 700_001);
        }
        check(Arrays.equals(data, sftp.read("cut").readAllBytes()), "resume");
        for (int i = 0; i < 2; i++) {
            try (var stream = sftp.write("log", OpenMode.Write, OpenMode.Create, OpenMode.Append)) {
                stream.write("line\n".getBytes());
            }
        }
        check(sftp.stat("log").getSize() == 10, "append");
        refused(() -> sftp.open("log", OpenMode.Write, OpenMode.Create, OpenMode.Exclusive), 4, "File already exists");

        // Attributes, and the quota's free space.
        sftp.setStat("data", new SftpClient.Attributes().perms(0640).modifyTime(6).accessTime(5));
        SftpClient.Attributes found = sftp.stat("data");
        check((found.getPermissions() & 07777) == 0640 && found.getModifyTime().toMillis() == 6000, found);
        var space = sftp.getExtension(OpenSSHStatPathExtension.class).stat("/");
        check(space.f_blocks * space.f_frsize == 8 << 20, space);

        // Names: links have the right target; a rename replaces nothing.
        sftp.symLink("link", "data");
        check(sftp.readLink("link").equals("data") && sftp.lstat("link").isSymbolicLink(), "symlink");
        refused(() -> sftp.rename("cut", "log"), 4, "File already exists");
        refused(() -> sftp.stat("none"), 2, "No such file");

        // The file system opens its own channels, in addition to the client's.
        int[] channels = {0, 0};
        session.addChannelListener(new ChannelListener() {
            @Override public void channelOpenSuccess(Channel channel) {
                channels[0]++;
                channels[1] = Math.max(channels[1], channels[0]);
            }
            @Override public void channelClosed(Channel channel, Throwable reason) { channels[0]--; }
        });
        try (SftpFileSystem files = SftpClientFactory.instance().createSftpFileSystem(session)) {
            Path root = files.getPath("/");
            Path copy = root.resolve("copy");
            Files.copy(root.resolve("data"), copy);
            Files.copy(folder.resolve("data"), root.resolve("put"));
            check(Arrays.equals(data, Files.readAllBytes(root.resolve("put"))), "file system");
            Files.writeString(root.resolve("put"), "more", StandardOpenOption.APPEND);
            check(Files.size(root.resolve("put")) == data.length + 4, "append");
            Files.setPosixFilePermissions(copy, PosixFilePermissions.fromString("rw-------"));
            check(Files.getPosixFilePermissions(copy).size() == 2, "mode");
            try {
                Files.move(copy, root.resolve("log"));
                throw new AssertionError("a file was replaced");
            } catch (FileAlreadyExistsException expected) {
                Files.move(copy, root.resolve("log"), StandardCopyOption.REPLACE_EXISTING);
            }
            Files.createSymbolicLink(root.resolve("link2"), files.getPath("data"));
            check(Files.readSymbolicLink(root.resolve("link2")).toString().equals("data"), "link2");
            Files.createDirectory(root.resolve("folder"));
            TreeSet<String> names = new TreeSet<>();
            try (var listed = Files.list(root)) {
                listed.forEach(path -> names.add(path.getFileName().toString()));
            }
            check(names.toString().equals("[cut, data, folder, link, link2, log, put]"), names);
            Thread[] threads = new Thread[4];
            Throwable[] failed = {null};
            for (int i = 0; i < threads.length; i++) {
                Path own = root.resolve("folder/" + i);
                threads[i] = new Thread(() -> {
                    try {
                        Files.writeString(own, "own");
                        Files.delete(own);
                    } catch (Throwable error) {
                        failed[0] = error;
                    }
                });
                threads[i].start();
            }
            for (Thread thread : threads) thread.join();
            check(failed[0] == null, failed[0]);
            System.out.println("channels at once: " + channels[1]);
            check(channels[1] >= 1, "no channel was opened");
            Files.delete(root.resolve("folder"));
        }

        // What does not fit is refused with a message.
        refused(() -> sftp.put(new java.io.ByteArrayInputStream(new byte[9 << 20]), "big"), 4, "Quota exceeded");
        for (String name : new String[] {"big", "cut", "data", "link", "link2", "log", "put"}) sftp.remove(name);
        session.close();
        client.stop();
    }
}
