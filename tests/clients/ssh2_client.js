// Node's ssh2 against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use 64 MiB, and has
// no files. Any difference ends it with an error.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { promisify } = require('node:util');
// Installed by tests/setup.
const { Client } = require(path.join(__dirname, '../../target/clients/node/node_modules/ssh2'));

const [host, port, username, key, folder, password] = process.argv.slice(2);
process.chdir(folder);
const QUOTA = 64 << 20;

const connected = (options) => new Promise((resolve, reject) => {
  const client = new Client();
  // Without it a stream waits for the kernel's delayed acknowledgements, with any server.
  client.on('connect', () => client.setNoDelay(true));
  client.on('ready', () => resolve(client)).on('error', reject);
  client.on('keyboard-interactive', (name, text, language, prompts, answer) => {
    answer(prompts.map(() => password));
  });
  client.connect({ host, port, username, ...options });
});

/** The methods of a session as functions that give promises. */
const promises = (sftp) => new Proxy(sftp, {
  get: (target, name) => {
    const found = target[name];
    const takesCallback = typeof found === 'function' && !name.startsWith('create');
    return takesCallback ? promisify(found.bind(target)) : found?.bind?.(target) ?? found;
  },
});

const refused = async (promise, words) => {
  await assert.rejects(promise, (error) => error.message.includes(words) || assert.fail(error));
};

async function main() {
  // Logins: a wrong password, the right one, prompts, a key.
  await refused(connected({ password: 'wrong' }), 'authentication methods failed');
  for (const options of [{ password }, { tryKeyboard: true }]) {
    (await connected(options)).end();
  }
  const client = await connected({ privateKey: fs.readFileSync(key) });
  const sftp = promises(await promisify(client.sftp.bind(client))());

  const data = crypto.randomBytes(9_000_007);
  fs.writeFileSync('file', data);
  await sftp.fastPut('file', 'file', { mode: 0o640 });
  await sftp.fastGet('file', 'back');
  assert(data.equals(fs.readFileSync('back')));
  assert.equal((await sftp.stat('file')).mode & 0o7777, 0o640);
  await sftp.writeFile('small', 'small');
  assert.equal(String(await sftp.readFile('small')), 'small');

  // Streams: whole, from any byte in both directions, and appending.
  const sent = (bytes, name, options) =>
    pipeline(Readable.from([bytes]), sftp.createWriteStream(name, options));
  for (const cut of [0, 1, 32_768, 4_000_001]) {
    await sent(data.subarray(0, cut), 'cut');
    const { size } = await sftp.stat('cut');
    assert.equal(size, cut);
    await sent(data.subarray(size), 'cut', { flags: 'r+', start: size });
    fs.writeFileSync('back', data.subarray(0, cut));
    const rest = fs.createWriteStream('back', { flags: 'a' });
    await pipeline(sftp.createReadStream('cut', { start: cut }), rest);
    assert(data.equals(fs.readFileSync('back')), `resumed from ${cut}`);
  }
  await sent('one\n', 'log', { flags: 'a' });
  await sftp.appendFile('log', 'two\n');
  assert.equal(String(await sftp.readFile('log')), 'one\ntwo\n');
  await refused(sftp.open('log', 'wx'), 'File already exists');

  // Attributes, by name and by handle.
  await sftp.setstat('log', { mode: 0o600, atime: 1_000_000_000, mtime: 1_000_000_001 });
  let found = await sftp.stat('log');
  assert.deepEqual([found.mode & 0o7777, found.atime, found.mtime], [0o600, 1e9, 1e9 + 1]);
  assert(found.isFile());
  const { uid, gid } = found;
  await sftp.chown('log', uid, gid);
  const handle = await sftp.open('log', 'r+');
  await sftp.fsetstat(handle, { size: 4 });
  await sftp.fchmod(handle, 0o644);
  await sftp.futimes(handle, 5, 6);
  await sftp.ext_openssh_fsync(handle);
  found = await sftp.fstat(handle);
  assert.deepEqual([found.size, found.mode & 0o777, found.mtime], [4, 0o644, 6]);

  // The free space is the quota's.
  for (const space of [await sftp.ext_openssh_statvfs('/'), await sftp.ext_openssh_fstatvfs(handle)]) {
    assert.equal(space.f_blocks * space.f_frsize, QUOTA);
    const used = 2 * data.length + 'small'.length + 4;
    const difference = QUOTA - used - space.f_bavail * space.f_frsize;
    assert(difference >= 0 && difference < space.f_frsize, `${difference}`);
  }
  await sftp.close(handle);

  // Copies on the server.
  const [from, to] = [await sftp.open('file', 'r'), await sftp.open('copy', 'w')];
  await sftp.ext_copy_data(from, 0, 0, to, 0);
  await sftp.close(from);
  await sftp.close(to);
  assert(data.equals(await sftp.readFile('copy')));

  // Names: links, renames, folders.
  await sftp.ext_openssh_hardlink('copy', 'second');
  await sftp.symlink('file', 'link');
  assert.equal(await sftp.readlink('link'), 'file');
  assert((await sftp.lstat('link')).isSymbolicLink() && (await sftp.stat('link')).isFile());
  await sftp.ext_openssh_lsetstat('link', { atime: 7, mtime: 8 });
  assert.equal((await sftp.lstat('link')).mtime, 8);
  assert.notEqual((await sftp.stat('link')).mtime, 8);
  await refused(sftp.rename('second', 'small'), 'File already exists');
  await sftp.ext_openssh_rename('second', 'small');
  assert(data.equals(await sftp.readFile('small')));
  await sftp.rename('small', 'moved');
  await sftp.mkdir('folder', { mode: 0o750 });
  await refused(sftp.mkdir('folder'), 'File already exists');
  // A trailing slash requires a directory: without one nothing is uploaded.
  await refused(sftp.fastPut('file', 'incoming/'), 'Is a directory');
  await refused(sftp.rename('file', 'incoming/'), 'No such file');
  assert.equal(await sftp.realpath('folder/../link'), '/file');
  assert.equal(await sftp.ext_home_dir(username), '/');
  const names = await sftp.ext_users_groups([uid, 4_000_000_000], [gid]);
  assert.deepEqual(names, [[username, ''], [username]]);
  const listing = await sftp.readdir('.');
  assert.deepEqual(
    listing.map(({ filename }) => filename).filter((name) => !name.startsWith('.')).sort(),
    ['copy', 'cut', 'file', 'folder', 'link', 'log', 'moved'],
  );
  const longname = (name) => listing.find(({ filename }) => filename === name).longname;
  assert(longname('link').startsWith('lrwx') && longname('folder').startsWith('drwxr-x---'));
  assert.match(longname('log'), /^-rw-r--r-- +1 alice +alice +4 Jan +1 +1970 log$/);

  // What does not fit is refused with a message.
  for (const name of ['copy', 'moved', 'cut', 'log', 'link']) await sftp.unlink(name);
  await sftp.rmdir('folder');
  await refused(sftp.writeFile('big', Buffer.alloc(QUOTA)), 'Quota exceeded');
  await sftp.unlink('big');
  await refused(sftp.stat('big'), 'No such file');

  // A command on the same connection.
  const command = await promisify(client.exec.bind(client))('sha256sum file');
  let said = '';
  command.on('data', (piece) => { said += piece; });
  const [status] = await new Promise((resolve) => command.on('close', (...end) => resolve(end)));
  const sum = crypto.createHash('sha256').update(data).digest('hex');
  assert.deepEqual([status, said], [0, `${sum}  file\n`]);
  await sftp.unlink('file');
  client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
