using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Traps;

/// <summary>
/// A domain with one scripted vCPU and hand-made page tables: the kernel root maps everything below, the user root only code and user stack.
/// </summary>
public sealed unsafe class TrapTestDomain : IDisposable
{
    public const ulong FirstFrame = 0x1000;
    public const ulong KernelCode = 0xFFFF_FFFF_8100_0000;
    public const ulong KernelStackTop = 0xFFFF_FFFF_8100_2000;
    public const ulong UserCode = 0x40_0000;
    public const ulong UserStackTop = 0x40_2000;
    private ulong _nextFrame = FirstFrame;

    private readonly IDisposable? _engine;

    /// <param name="vcpus">How many.</param>
    /// <param name="cpu">Makes vCPU 0's CPU and the engine behind it; a scripted CPU when null.</param>
    public TrapTestDomain(int vcpus = 1, Func<GuestMemory, (VirtualCpu Cpu, IDisposable Engine)>? cpu = null)
    {
        Memory = new GuestMemory(FirstFrame, 64 + vcpus);
        Memory.AddRam(FirstFrame, Memory.FrameCount);
        Domain = new Domain(new DomainId(1), Guid.NewGuid(), Memory, vcpus) { SharedInfoFrame = new Mfn(Allocate()) };
        TrapHypercalls.Register(Domain);
        ulong kernelRoot = Allocate() << 12;
        ulong userRoot = Allocate() << 12;
        KernelCodeFrame = Allocate();
        UserCodeFrame = Allocate();
        Map(kernelRoot, KernelCode, KernelCodeFrame);
        Map(kernelRoot, KernelStackTop - 0x1000, Allocate());
        ulong userStack = Allocate();
        foreach (ulong root in (ulong[])[kernelRoot, userRoot])
        {
            Map(root, UserCode, UserCodeFrame);
            Map(root, UserStackTop - 0x1000, userStack);
        }

        for (int i = 0; i < vcpus; i++)
        {
            VirtualCpu made;
            if (i == 0 && cpu is not null)
            {
                (made, _engine) = cpu(Memory);
            }
            else
            {
                made = new ScriptedCpu();
            }

            PvVcpu vcpu = new(Domain, i, made)
            {
                VcpuInfoAddress = Domain.SharedInfoFrame.Address + ((ulong)i * 64),
                Online = i == 0,
            };
            Domain.AddVcpu(vcpu);
            vcpu.SetKernelRoot(kernelRoot);
            vcpu.SetUserRoot(userRoot);
            FlatSegments.TryGet(FlatSegments.Code64, out vcpu.State->Cs);
            FlatSegments.TryGet(FlatSegments.Data, out vcpu.State->Ss);
            vcpu.State->Rip = KernelCode;
            vcpu.State->Gpr[4] = KernelStackTop;
            vcpu.State->Rflags = Rflags.Interrupt | Rflags.AlwaysOne;
            vcpu.Traps.KernelStack = KernelStackTop;
            vcpu.Traps.EventCallback = new GuestCallback(KernelCode + 0x100);
            vcpu.Traps.FailsafeCallback = new GuestCallback(KernelCode + 0x200);
            vcpu.Traps.SyscallCallback = new GuestCallback(KernelCode + 0x300, MasksEvents: true);
            for (int vector = 0; vector < 32; vector++)
            {
                vcpu.Traps[vector] = new TrapGate(HandlerOf(vector), FlatSegments.Code64, 0, false);
            }

            // Masked at start, as after the builder.
            Memory.Shared<byte>(vcpu.VcpuInfoAddress + 1) = 1;
        }
    }

    public GuestMemory Memory { get; }

    public Domain Domain { get; }

    public PvVcpu Vcpu => Domain.Vcpus[0];

    public ScriptedCpu Cpu => (ScriptedCpu)Vcpu.Cpu;

    public CpuidPolicy Cpuid { get; } = new(CpuFeatures.None, 1_000_000_000);

    public ulong KernelCodeFrame { get; }

    public ulong UserCodeFrame { get; }

    public byte UpcallMask
    {
        get => Memory.Shared<byte>(Vcpu.VcpuInfoAddress + 1);
        set => Memory.Shared<byte>(Vcpu.VcpuInfoAddress + 1) = value;
    }

    public byte UpcallPending
    {
        get => Memory.Shared<byte>(Vcpu.VcpuInfoAddress);
        set => Memory.Shared<byte>(Vcpu.VcpuInfoAddress) = value;
    }

    public static ulong HandlerOf(int vector) => KernelCode + 0x400 + ((ulong)vector * 16);

    /// <summary>Runs the script until the domain stops; the last step has to see to that, or the end of the script does.</summary>
    public void Run(params ScriptedCpu.Step[] steps) => Run(_ => 0, steps);

    /// <summary>The same; gives what is asked of the runner at the end.</summary>
    public T Run<T>(Func<DomainRunner, T> result, params ScriptedCpu.Step[] steps)
    {
        foreach (ScriptedCpu.Step step in steps)
        {
            Cpu.Then(step);
        }

        Cpu.Then((CpuState* _, ref CpuExit exit) =>
        {
            exit.Kind = CpuExitKind.Kicked;
            Domain.RequestShutdown(ShutdownReason.PowerOff);
        });
        using DomainRunner runner = new(Domain, Cpuid);
        runner.Unpause();
        runner.Join();
        return result(runner);
    }

    /// <summary>The 64-bit words on the current stack.</summary>
    public ulong[] Stack(int count)
    {
        ulong[] words = new ulong[count];
        Assert.True(Vcpu.Guest.TryRead(Vcpu.State->Gpr[4], MemoryMarshal.AsBytes(words.AsSpan())));
        return words;
    }

    public void WriteCode(ulong frame, params ReadOnlySpan<byte> code) => Memory.TryWrite(frame << 12, code);

    public ulong Allocate() => _nextFrame++;

    public void Map(ulong root, ulong address, ulong frame)
    {
        ulong table = root;
        for (int level = 4; level > 1; level--)
        {
            ulong at = table + ((ulong)PageTableEntry.Index(address, level) * 8);
            Memory.TryReadUInt64(at, out ulong entry);
            if (entry == 0)
            {
                entry = (Allocate() << 12) | PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User;
                Memory.TryWriteUInt64(at, entry);
            }

            table = entry & PageTableEntry.AddressMask;
        }

        Memory.TryWriteUInt64(
            table + ((ulong)PageTableEntry.Index(address, 1) * 8), (frame << 12) | PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User);
    }

    public void Dispose()
    {
        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            vcpu.Cpu.Dispose();
        }

        _engine?.Dispose();
        Memory.Dispose();
    }
}
