// ssh2-sftp-client and node-ssh, which use ssh2: HOST PORT USER KEY FOLDER PASSWORD.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const modules = path.join(__dirname, '../../target/clients/node/node_modules');
const Client = require(path.join(modules, 'ssh2-sftp-client'));
const { NodeSSH } = require(path.join(modules, 'node-ssh'));

const [host, port, username, key, folder, password] = process.argv.slice(2);
const at = (name) => path.join(folder, name);

async function ssh2SftpClient() {
  const byPassword = new Client();
  await byPassword.connect({ host, port, username, password });
  await byPassword.end();
  const client = new Client();
  await client.connect({ host, port, username, privateKey: fs.readFileSync(key) });
  const data = require('crypto').randomBytes(3_000_001);
  fs.writeFileSync(at('source'), data);
  fs.mkdirSync(at('tree/sub'), { recursive: true });
  fs.writeFileSync(at('tree/sub/file'), 'text');

  await client.mkdir('/d/e', true);
  await client.put(at('source'), '/d/put');
  await client.append(Buffer.from('end'), '/d/put');
  assert((await client.get('/d/put')).equals(Buffer.concat([data, Buffer.from('end')])));
  await client.fastPut(at('source'), '/d/fast');
  await client.fastGet('/d/fast', at('back'));
  assert(fs.readFileSync(at('back')).equals(data));
  await client.uploadDir(at('tree'), '/d/tree');
  // Without `useFastget` downloadDir() resolves before the local files are written.
  await client.downloadDir('/d/tree', at('tree-back'), { filter: null, useFastget: true });
  assert.equal(fs.readFileSync(at('tree-back/sub/file'), 'utf8'), 'text');
  await client.rename('/d/fast', '/d/renamed');
  await client.chmod('/d/renamed', 0o600);
  assert.equal((await client.stat('/d/renamed')).mode & 0o777, 0o600);
  const names = (await client.list('/d')).map((entry) => entry.type + entry.name).sort();
  assert.deepEqual(names, ['-put', '-renamed', 'de', 'dtree']);
  assert.equal(await client.exists('/d/e'), 'd');
  // A missing folder is not created.
  await assert.rejects(client.put(at('source'), '/missing/file'), /No such file/);
  await client.rmdir('/d', true);
  assert.equal(await client.exists('/d'), false);
  fs.writeFileSync(at('big'), Buffer.alloc(9 << 20));
  await assert.rejects(client.put(at('big'), '/big'), /Quota exceeded/);
  await assert.rejects(client.fastPut(at('big'), '/fast-big'), /Quota exceeded/);
  for (const name of ['/big', '/fast-big']) await client.delete(name, true);
  await client.end();
}

async function nodeSsh() {
  const ssh = new NodeSSH();
  await ssh.connect({ host, port, username, privateKeyPath: key });
  // It creates missing parent folders, since the error says "No such file".
  await ssh.putFile(at('source'), '/n/deep/file');
  assert(await ssh.putDirectory(at('tree'), '/n/tree', { recursive: true }));
  await ssh.mkdir('/n/a/b', 'sftp');
  await ssh.getFile(at('node-back'), '/n/deep/file');
  assert(fs.readFileSync(at('node-back')).equals(fs.readFileSync(at('source'))));
  const sum = await ssh.execCommand('md5sum /n/tree/sub/file');
  assert(sum.code === 0 && sum.stdout.endsWith('  /n/tree/sub/file'), JSON.stringify(sum));
  // With a cwd it sends "cd ... && ...", which needs a shell.
  assert.equal((await ssh.execCommand('md5sum file', { cwd: '/n/deep' })).code, 127);
  await assert.rejects(ssh.putFile(at('big'), '/n/big'), /Quota exceeded/);
  ssh.dispose();
}

ssh2SftpClient().then(nodeSsh).catch((failure) => {
  console.error(failure);
  process.exit(1);
});
