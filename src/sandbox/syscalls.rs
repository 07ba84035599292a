//! System calls that a file server does not need, refused by the kernel (seccomp(2)): those that Landlock
//! does not cover, and many through which kernel bugs are exploited. A deny list, since an allow list would
//! break with new versions of the C library. A refused call returns an error.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use anyhow::Context as _;
use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{self, Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Refused with EPERM whatever the arguments.
const FORBIDDEN: &[c_long] = &[
    // Programs and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    // Outgoing connections of every kind.
    libc::SYS_connect,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other users.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    // Attributes and kinds of files that no home needs.
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    libc::SYS_mknodat,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_fanotify_init,
    // Parts of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // Memory and messages shared with other processes.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// The same, for calls that only this processor has.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    // execve, ptrace, rt_sigqueueinfo, process_vm_readv, process_vm_writev, rt_tgsigqueueinfo, execveat and
    // kexec_load of the x32 ABI. Its other numbers are those of x86_64 (see `X32`).
    520,
    521,
    524,
    528,
    536,
    539,
    540,
    545,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[c_long] = &[];

/// Refused with ENOSYS, so that callers fall back as on an old kernel. A filter sees neither the flags of
/// clone3 nor the operations of io_uring.
const MISSING: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Newer than the `libc` crate; the same number on every processor.
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;

/// The bit in the call numbers of the x32 ABI, through which an x86_64 process can make the same calls.
#[cfg(target_arch = "x86_64")]
const X32: Option<c_long> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const X32: Option<c_long> = None;

/// A call number, with the conditions on its arguments that must all hold to refuse it.
type Refused = (c_long, Vec<SeccompCondition>);

/// The filters to install in the kernel.
pub struct SyscallFilter(Vec<BpfProgram>);

impl SyscallFilter {
    /// Makes the filter for this processor.
    ///
    /// # Errors
    ///
    /// There is no filter for this processor.
    pub fn new() -> anyhow::Result<Self> {
        let always = FORBIDDEN.iter().chain(FORBIDDEN_HERE);
        let always = always.map(|number| (*number, Vec::new()));
        let forbidden = always.chain(by_arguments()?);
        let missing = MISSING.iter().map(|number| (*number, Vec::new()));
        Ok(Self(vec![
            program(missing, libc::ENOSYS)?,
            program(forbidden, libc::EPERM)?,
        ]))
    }

    /// Installs it for all threads of this process, now and later.
    ///
    /// # Errors
    ///
    /// The kernel does not support filters, or rejects this one.
    pub fn apply(&self) -> anyhow::Result<()> {
        let mut programs = self.0.iter();
        Ok(programs.try_for_each(|program| seccompiler::apply_filter_all_threads(program))?)
    }

    /// Installs it for this thread and those that it starts.
    ///
    /// # Errors
    ///
    /// As [`SyscallFilter::apply`].
    pub fn apply_to_thread(&self) -> anyhow::Result<()> {
        let mut programs = self.0.iter();
        Ok(programs.try_for_each(|program| seccompiler::apply_filter(program))?)
    }
}

/// Refuses these calls with an error.
fn program(refused: impl Iterator<Item = Refused>, error: i32) -> anyhow::Result<BpfProgram> {
    let mut rules = BTreeMap::<c_long, Vec<SeccompRule>>::new();
    for (number, conditions) in refused {
        for number in [Some(number), X32.map(|bit| bit | number)] {
            let Some(number) = number else {
                continue;
            };
            // An empty list refuses every call with this number.
            let of_number = rules.entry(number).or_default();
            if !conditions.is_empty() {
                of_number.push(SeccompRule::new(conditions.clone())?);
            }
        }
    }
    let refuse = SeccompAction::Errno(error.cast_unsigned());
    let processor = TargetArch::try_from(ARCH)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, processor)?;
    filter.try_into().context("the filter cannot be compiled")
}

/// Returns the calls that are refused for some arguments.
fn by_arguments() -> anyhow::Result<Vec<Refused>> {
    let mut refused = Vec::new();
    sockets(&mut refused)?;
    processes(&mut refused)?;
    // Memory that is writable and executable.
    let (write, run) = (number(libc::PROT_WRITE), number(libc::PROT_EXEC));
    let both = write | run;
    refused.push((libc::SYS_mmap, vec![is(2, MaskedEq(both), both)?]));
    for call in [libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        refused.push((call, vec![is(2, MaskedEq(run), run)?]));
    }
    // Input faked into the terminal that started the server.
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        let request = u64::from(u32::try_from(request)?);
        refused.push((libc::SYS_ioctl, vec![is(1, Eq, request)?]));
    }
    Ok(refused)
}

/// All sockets except TCP and Unix sockets, and data sent with a connect request.
fn sockets(refused: &mut Vec<Refused>) -> anyhow::Result<()> {
    /// The bits that are not flags.
    const KIND: u64 = 0xf;
    let unix = number(libc::AF_UNIX);
    let (inet, inet6) = (number(libc::AF_INET), number(libc::AF_INET6));
    let families = [unix, inet, inet6].map(|family| is(0, Ne, family));
    refused.push((
        libc::SYS_socket,
        families.into_iter().collect::<Result<_, _>>()?,
    ));
    let stream = number(libc::SOCK_STREAM);
    for kind in (0..=KIND).filter(|kind| *kind != stream) {
        let conditions = vec![is(0, Ne, unix)?, is(1, MaskedEq(KIND), kind)?];
        refused.push((libc::SYS_socket, conditions));
    }
    let tcp = number(libc::IPPROTO_TCP);
    let others = vec![is(0, Ne, unix)?, is(2, Ne, 0)?, is(2, Ne, tcp)?];
    refused.push((libc::SYS_socket, others));
    let connecting = number(libc::MSG_FASTOPEN);
    for (call, flags) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        refused.push((call, vec![is(flags, MaskedEq(connecting), connecting)?]));
    }
    Ok(())
}

/// New processes, new namespaces, and signals and limits of other processes.
fn processes(refused: &mut Vec<Refused>) -> anyhow::Result<()> {
    let thread = number(libc::CLONE_THREAD);
    refused.push((libc::SYS_clone, vec![is(0, MaskedEq(thread), 0)?]));
    for namespace in [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ] {
        let flag = number(namespace);
        refused.push((libc::SYS_clone, vec![is(0, MaskedEq(flag), flag)?]));
    }
    let own = u64::from(std::process::id());
    refused.push((libc::SYS_tgkill, vec![is(0, Ne, own)?]));
    // Or 0, which also means the process itself.
    let others = vec![is(0, Ne, own)?, is(0, Ne, 0)?];
    refused.push((libc::SYS_prlimit64, others));
    Ok(())
}

/// Converts a constant of C to the compared form: the lower 32 bits of an argument.
fn number(constant: i32) -> u64 {
    u64::from(constant.cast_unsigned())
}

/// Makes a condition on the lower 32 bits of an argument.
fn is(argument: u8, comparison: SeccompCmpOp, value: u64) -> anyhow::Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, Dword, comparison, value)?)
}
