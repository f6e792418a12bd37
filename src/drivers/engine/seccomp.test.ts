import { expect, test } from "bun:test";
import { seccompProfile } from "./seccomp.ts";

interface Rule {
  names: string[];
  action: string;
  args?: object[];
}

const { syscalls } = JSON.parse(seccompProfile) as { syscalls: Rule[] };
const allowed = syscalls.filter((rule) => rule.action === "SCMP_ACT_ALLOW");

/* What the kernel of a test machine may not have, so that no test with containers can show it. */
const never = `
  init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff mount umount umount2
  fsopen fsmount move_mount mount_setattr open_tree pivot_root unshare setns clone3 openat2 socketcall
  io_uring_setup bpf perf_event_open userfaultfd keyctl add_key request_key open_by_handle_at iopl ioperm
  modify_ldt vm86 clock_settime settimeofday acct quotactl syslog chroot fanotify_init uselib
`;
test.each(never.trim().split(/\s+/))("%s is not allowed", (name) => {
  expect(allowed.filter((rule) => rule.names.includes(name))).toEqual([]);
});

test.each([
  "clone",
  "chmod",
  "fchmod",
  "fchmodat",
  "fchmodat2",
  "creat",
  "open",
  "openat",
  "mknod",
  "mknodat",
  "socket",
])("%s is allowed under a condition only", (name) => {
  const rules = allowed.filter((rule) => rule.names.includes(name));
  expect(rules).not.toBeEmpty();
  for (const rule of rules) expect(rule.args).toHaveLength(1);
});
