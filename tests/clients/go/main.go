// github.com/pkg/sftp against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use 8 MiB,
// and has no files. Any difference ends it with a panic.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func check(holds bool, told ...any) {
	if !holds {
		panic(fmt.Sprint(told...))
	}
}

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func refused(err error, words string) {
	check(err != nil && strings.Contains(err.Error(), words), "expected ", words, ", got ", err)
}

func main() {
	host, port, user, key, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[6]
	connect := func(methods ...ssh.AuthMethod) (*ssh.Client, error) {
		return ssh.Dial("tcp", net.JoinHostPort(host, port), &ssh.ClientConfig{
			User: user, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
		})
	}
	// Logins: a wrong password, the right one, prompts, a key.
	_, err := connect(ssh.Password("wrong"))
	refused(err, "unable to authenticate")
	must(connect(ssh.Password(password))).Close()
	answer := func(name, text string, prompts []string, echos []bool) ([]string, error) {
		return slices.Repeat([]string{password}, len(prompts)), nil
	}
	must(connect(ssh.KeyboardInteractive(answer))).Close()
	signer := must(ssh.ParsePrivateKey(must(os.ReadFile(key))))
	connection := must(connect(ssh.PublicKeys(signer)))
	client := must(sftp.NewClient(connection, sftp.UseConcurrentWrites(true)))

	data := make([]byte, 2_000_003)
	rand.New(rand.NewSource(1)).Read(data)
	put := func(name string, flags int, offset int64, content []byte) error {
		file := must(client.OpenFile(name, flags))
		defer file.Close()
		must(file.Seek(offset, io.SeekStart))
		_, err := file.ReadFrom(bytes.NewReader(content))
		return err
	}
	get := func(name string) []byte {
		file := must(client.Open(name))
		defer file.Close()
		var content bytes.Buffer
		must(file.WriteTo(&content))
		return content.Bytes()
	}
	create := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	ok(put("data", create, 0, data))
	check(bytes.Equal(get("data"), data), "put and get")

	// Resume, append, and an exclusive open.
	ok(put("cut", create, 0, data[:700_001]))
	ok(put("cut", os.O_WRONLY, 700_001, data[700_001:]))
	check(bytes.Equal(get("cut"), data), "resume")
	for range 2 {
		ok(put("log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0, []byte("line\n")))
	}
	check(string(get("log")) == "line\nline\n", "append: ", string(get("log")))
	_, err = client.OpenFile("log", os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	refused(err, "File already exists")
	file := must(client.OpenFile("log", os.O_RDWR))
	ok(file.Truncate(5))
	ok(file.Sync())
	ok(file.Close())

	// Attributes, and the space of the quota.
	ok(client.Chmod("data", 0o640))
	ok(client.Chtimes("data", time.Unix(5, 0), time.Unix(6, 0)))
	found := must(client.Stat("data"))
	check(found.Mode() == 0o640 && found.ModTime().Unix() == 6, found)
	space := must(client.StatVFS("/"))
	check(space.TotalSpace() == 8<<20, space)

	// Names: links have the right target; a rename replaces only if it shall.
	ok(client.Symlink("data", "link"))
	check(must(client.ReadLink("link")) == "data", "readlink")
	check(must(client.Lstat("link")).Mode()&os.ModeSymlink != 0, "lstat")
	check(must(client.RealPath("link")) == "/data", "realpath")
	ok(client.Link("log", "second"))
	refused(client.Rename("cut", "log"), "File already exists")
	ok(client.PosixRename("cut", "log"))
	ok(client.MkdirAll("folder/in"))
	var names []string
	for _, entry := range must(client.ReadDir("/")) {
		names = append(names, entry.Name())
	}
	slices.Sort(names)
	check(slices.Equal(names, []string{"data", "folder", "link", "log", "second"}), names)
	_, err = client.Stat("none")
	check(errors.Is(err, os.ErrNotExist), err)

	// What does not fit is refused with a message.
	refused(put("big", create, 0, make([]byte, 9<<20)), "Quota exceeded")
	for _, name := range []string{"big", "data", "link", "log", "second"} {
		ok(client.Remove(name))
	}
	ok(client.RemoveAll("folder"))
	check(len(must(client.ReadDir("/"))) == 0, "left")
	ok(connection.Close())
}
