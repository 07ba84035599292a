<?php
// phpseclib 3: HOST PORT USER KEY FOLDER PASSWORD.
require 'phpseclib3/autoload.php';
use phpseclib3\Net\SFTP; use phpseclib3\Crypt\PublicKeyLoader;
function ok($what,$cond){ if(!$cond){ fwrite(STDERR,"FAILED: $what\n"); exit(1);} }
[$_,$host,$port,$user,$key,$folder,$password]=$argv;
$s=new SFTP($host,(int)$port); ok('password',$s->login($user,$password));
$s=new SFTP($host,(int)$port); ok('key',$s->login($user,PublicKeyLoader::load(file_get_contents($key))));
$data=random_bytes(2000003); file_put_contents("$folder/up",$data);
ok('put',$s->put('up',"$folder/up",SFTP::SOURCE_LOCAL_FILE));
ok('size',$s->filesize('up')===strlen($data));
$s->truncate('up',1000001);
ok('resume',$s->put('up',"$folder/up",SFTP::SOURCE_LOCAL_FILE|SFTP::RESUME_START));
ok('get',$s->get('up')===$data);
file_put_contents("$folder/down",substr($data,0,777));
ok('get resume',$s->get('up',"$folder/down",777)); 
ok("get resumed",substr(file_get_contents("$folder/down"),0)===substr($data,777)); 
ok('mkdir',$s->mkdir('d/e',-1,true)); ok('rename',$s->rename('up','d/e/f'));
ok('symlink',$s->symlink('d/e/f','link')); ok('readlink',$s->readlink('link')==='d/e/f'); ok('through link',$s->filesize('link')===strlen($data));
ok('chmod',$s->chmod(0600,'d/e/f')!==false); ok('mode',($s->fileperms('d/e/f')&0777)===0600);
ok('touch',$s->touch('d/e/f',1000000000)); ok('mtime',$s->filemtime('d/e/f')===1000000000);
$names=$s->nlist('d/e'); sort($names); ok('nlist',array_values(array_diff($names,['.','..']))===['f']);
$r=@$s->put('big',str_repeat('x',5000000)); ok('quota refused',$r===false); ok('the words',str_contains(implode(' ',$s->getSFTPErrors()),'Quota exceeded'));
ok('delete',$s->delete('d',true)); ok('gone',!$s->file_exists('d'));
