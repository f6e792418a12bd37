/*
 * The system calls that programs in a container may make. A list of what is allowed rather than of what is
 * not: a call that a later kernel brings is refused until somebody has looked at it. The names are the
 * kernel's, of all processors together; an engine leaves out those that its own does not have.
 */

const allowed = `
  read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close close_range dup dup2 dup3 fcntl fcntl64
  flock fsync fdatasync sync syncfs sync_file_range sync_file_range2 arm_sync_file_range lseek _llseek ioctl readahead
  sendfile sendfile64 splice tee vmsplice copy_file_range fallocate fadvise64 fadvise64_64 arm_fadvise64_64 truncate
  truncate64 ftruncate ftruncate64 pipe pipe2 eventfd eventfd2 memfd_create memfd_secret

  access faccessat faccessat2 chdir fchdir getcwd getdents getdents64 readdir link linkat symlink symlinkat readlink
  readlinkat mkdir mkdirat rmdir rename renameat renameat2 unlink unlinkat umask name_to_handle_at
  stat lstat fstat newfstatat stat64 lstat64 fstat64 fstatat64 oldstat oldlstat oldfstat statx statfs fstatfs statfs64
  fstatfs64 ustat utime utimes futimesat utimensat utimensat_time64 chown fchown lchown fchownat chown32 fchown32 lchown32
  getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr lremovexattr
  fremovexattr inotify_init inotify_init1 inotify_add_watch inotify_rm_watch

  brk mmap mmap2 munmap mremap mprotect msync mincore madvise process_madvise process_mrelease mlock mlock2 mlockall munlock
  munlockall membarrier remap_file_pages pkey_alloc pkey_free pkey_mprotect get_mempolicy map_shadow_stack mseal

  fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill pause alarm restart_syscall
  getpid getppid gettid getpgid setpgid getpgrp getsid setsid set_tid_address set_robust_list get_robust_list rseq
  set_thread_area get_thread_area set_tls arch_prctl prctl capget capset seccomp landlock_create_ruleset landlock_add_rule
  landlock_restrict_self pidfd_open pidfd_send_signal getpriority setpriority nice ioprio_get ioprio_set
  sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler
  sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min sched_rr_get_interval
  sched_rr_get_interval_time64 getcpu getrlimit ugetrlimit setrlimit prlimit64 getrusage times sysinfo uname olduname
  oldolduname getrandom cacheflush breakpoint riscv_flush_icache riscv_hwprobe
  ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp

  getuid geteuid getgid getegid getresuid getresgid getgroups getuid32 geteuid32 getgid32 getegid32 getresuid32 getresgid32
  getgroups32 setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups setuid32 setgid32 setreuid32
  setregid32 setresuid32 setresgid32 setfsuid32 setfsgid32 setgroups32

  rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
  rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack signalfd signalfd4 signal sigaction sigprocmask sigpending sigsuspend
  sigreturn

  futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue poll ppoll ppoll_time64 select _newselect pselect6
  pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64

  time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64
  nanosleep adjtimex getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
  timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64

  socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt send sendto sendmsg
  sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64

  ipc shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv msgctl mq_open
  mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64
`;

/**
 * What programs try first and have another way for: answered as by a kernel that is too old for it. The
 * flags of `clone3` and the mode of `openat2` lie in memory, where no filter can look; `io_uring` would do
 * every other call past the filter. `socketcall` asks for a socket of any kind on 32 bits, with its arguments
 * in memory, too: unless it is named with another answer than the default, the filter's library lets the rules
 * for `socket` and its kind mean it as well, without their conditions.
 */
const unknownToUs = [
  "clone3",
  "openat2",
  "io_uring_setup",
  "io_uring_enter",
  "io_uring_register",
  "socketcall",
];

/** CLONE_NEWNS and the flags of the other namespaces: in one of its own a process has every capability. */
const namespaces = 0x7e02_0000;

const setIdBits = 0o6000;
/** O_CREAT, and what of O_TMPFILE is no other flag's: both give a new file a mode. */
const creating = 0o100 | 0o2000_0000;
const fileType = 0o17_0000;
/** None (a file), a file, a named pipe, a socket: all but devices. */
const nodes = [0, 0o10_0000, 0o1_0000, 0o14_0000];

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: not those into the virtual machine's host or the kernel's ciphers. */
const families = [1, 2, 10, 16];
/** PER_LINUX, PER_LINUX32, ADDR_NO_RANDOMIZE (debuggers and sanitizers), and the question for the present one. */
const personalities = [0, 8, 0x4_0000, 0xffff_ffff];

type Condition = {
  index: number;
  value: number;
  valueTwo?: number;
  op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
};

const masked = (index: number, mask: number, is: number): Condition => ({
  index,
  value: mask,
  valueTwo: is,
  op: "SCMP_CMP_MASKED_EQ",
});
const equal = (index: number, value: number): Condition => ({ index, value, op: "SCMP_CMP_EQ" });
const allow = (names: string[], ...args: Condition[]): object => ({
  names,
  action: "SCMP_ACT_ALLOW",
  ...(args.length === 0 ? {} : { args }),
});

/**
 * The profile, in the form that Docker and Podman read. No file gets a set-user-ID or set-group-ID bit:
 * the workspace lies on the host, where such a file would be a way to its owner's rights.
 */
export const seccompProfile = JSON.stringify({
  defaultAction: "SCMP_ACT_ERRNO",
  // Without it a program of another of these architectures would be ended.
  archMap: [
    { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
    { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    { architecture: "SCMP_ARCH_RISCV64", subArchitectures: null },
  ],
  syscalls: [
    allow(allowed.trim().split(/\s+/)),
    allow(["clone"], masked(0, namespaces, 0)),
    allow(["chmod", "fchmod", "creat"], masked(1, setIdBits, 0)),
    allow(["fchmodat", "fchmodat2"], masked(2, setIdBits, 0)),
    allow(["open"], masked(1, creating, 0)),
    allow(["open"], masked(2, setIdBits, 0)),
    allow(["openat"], masked(2, creating, 0)),
    allow(["openat"], masked(3, setIdBits, 0)),
    ...nodes.flatMap((type) => [
      allow(["mknod"], masked(1, fileType | setIdBits, type)),
      allow(["mknodat"], masked(2, fileType | setIdBits, type)),
    ]),
    ...families.map((family) => allow(["socket"], equal(0, family))),
    ...personalities.map((persona) => allow(["personality"], equal(0, persona))),
    // 38: ENOSYS
    { names: unknownToUs, action: "SCMP_ACT_ERRNO", errnoRet: 38 },
  ],
});
