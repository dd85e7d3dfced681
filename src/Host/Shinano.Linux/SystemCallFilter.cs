using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>
/// A seccomp filter that takes from this process, in all its threads and for good, the system calls that neither .NET nor a domain needs and that a
/// taken-over process would look for first: running programs, tracing, namespaces, mounts, kernel modules, network sockets. They fail with EPERM.
/// </summary>
/// <remarks>Source: Linux uapi: seccomp.h, filter.h, audit.h; x86-64's system call table.</remarks>
public static unsafe partial class SystemCallFilter
{
    private const int SeccompCall = 317;
    private const uint SetModeFilter = 1;
    private const uint ThreadSync = 1;
    private const uint ArchitectureX8664 = 0xC000003E;
    private const uint Allow = 0x7FFF0000;
    private const uint FailWithPerm = 0x00050000 | 1;
    private const uint KillProcess = 0x80000000;
    private const uint X32Bit = 0x40000000;
    private const int SocketCall = 41;
    private const int UnixFamily = 1;
    private const int NetlinkFamily = 16;

    // BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K, BPF_RET|BPF_K.
    private const ushort Load = 0x20;
    private const ushort JumpIfEqual = 0x15;
    private const ushort JumpIfAtLeast = 0x35;
    private const ushort Return = 0x06;

    // struct seccomp_data: nr, arch, instruction pointer, args.
    private const uint NumberOffset = 0;
    private const uint ArchitectureOffset = 4;
    private const uint FirstArgumentOffset = 16;

    /// <summary>
    /// execve, ptrace, personality, uselib, pivot_root, chroot, acct, mount, umount2, swapon, swapoff, reboot, sethostname, setdomainname, iopl, ioperm, init_module,
    /// delete_module, quotactl, settimeofday, adjtimex, modify_ldt, kexec_load, add_key, request_key, keyctl, clock_settime, unshare, move_pages, migrate_pages,
    /// perf_event_open, open_by_handle_at, name_to_handle_at, setns, process_vm_readv, process_vm_writev, kcmp, finit_module, kexec_file_load, bpf, execveat,
    /// userfaultfd, io_uring_setup, io_uring_enter, io_uring_register, open_tree, move_mount, fsopen, fsmount, mount_setattr.
    /// </summary>
    private static readonly int[] Refused =
    [
        59, 101, 135, 134, 155, 161, 163, 165, 166, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 164, 159, 154, 246, 248, 249, 250, 227, 272, 279, 256,
        298, 304, 303, 308, 310, 311, 312, 313, 320, 321, 322, 323, 425, 426, 427, 428, 429, 430, 432, 442,
    ];

    /// <summary>Installs the filter; <see cref="ProcessConfinement.ForbidNewPrivileges"/> comes first.</summary>
    /// <exception cref="Win32Exception">The kernel refused, for example because it has no seccomp.</exception>
    public static void Install()
    {
        List<Instruction> program =
        [
            new(Load, 0, 0, ArchitectureOffset),
            new(JumpIfEqual, 1, 0, ArchitectureX8664),
            new(Return, 0, 0, KillProcess),
            new(Load, 0, 0, NumberOffset),
            new(JumpIfAtLeast, 0, 1, X32Bit),
            new(Return, 0, 0, FailWithPerm),
        ];
        foreach (int call in Refused)
        {
            program.Add(new(JumpIfEqual, 0, 1, (uint)call));
            program.Add(new(Return, 0, 0, FailWithPerm));
        }

        // socket(2): unix sockets, and the netlink ones with which .NET reads interfaces, only.
        program.Add(new(JumpIfEqual, 0, 4, SocketCall));
        program.Add(new(Load, 0, 0, FirstArgumentOffset));
        program.Add(new(JumpIfEqual, 2, 0, UnixFamily));
        program.Add(new(JumpIfEqual, 1, 0, NetlinkFamily));
        program.Add(new(Return, 0, 0, FailWithPerm));
        program.Add(new(Return, 0, 0, Allow));
        Instruction[] code = [.. program];

        // SAFETY: the kernel copies the program during the call.
        fixed (Instruction* first = code)
        {
            Program description = new((ushort)code.Length, first);
            if (SystemCall(SeccompCall, SetModeFilter, ThreadSync, &description) != 0)
            {
                throw new Win32Exception(Marshal.GetLastPInvokeError(), "seccomp(SECCOMP_SET_MODE_FILTER)");
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, ulong operation, ulong flags, Program* program);

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Instruction(ushort Code, byte JumpTrue, byte JumpFalse, uint Value);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Program(ushort length, Instruction* instructions)
    {
        public readonly ushort Length = length;
        public readonly Instruction* Instructions = instructions;
    }
}
