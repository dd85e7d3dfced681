using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.Hypervisor.Building;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Building;

/// <summary>A domain as the builder leaves it, with the hypercalls of memory, and hands to make them with.</summary>
internal sealed unsafe class BuiltGuest : IDisposable
{
    /// <summary>Mapped, unused pages behind the stack: the first 16 are for arguments, the rest for mapping.</summary>
    private const ulong PaddingForArguments = 16;

    private const int ArgumentRegisters = 6;

    private int _restarts;

    public BuiltGuest(
        ulong pages = 2048, int vcpus = 1, KernelImage? kernel = null, ReadOnlyMemory<byte> ramdisk = default, ulong? maximum = null,
        Func<GuestMemory, VirtualCpu>? cpu = null)
    {
        Space = MachineSpace.Create(maximum ?? pages, vcpus);
        Domain = new Domain(new DomainId(1), Guid.NewGuid(), Space.Memory, vcpus);
        Assert.True(Space.TryAllocateShared(out Mfn shared));
        Domain.SharedInfoFrame = shared;
        for (int i = 0; i < vcpus; i++)
        {
            PvVcpu vcpu = new(Domain, i, cpu?.Invoke(Space.Memory) ?? new ScriptedCpu()) { VcpuInfoAddress = shared.Address + ((ulong)i * 64), Online = i == 0 };
            Domain.AddVcpu(vcpu);
            InitialState.Apply(vcpu);
            vcpu.ShowDescriptorTables();
        }

        Mmu = new MmuHypercalls(Domain, Space);
        _ = new MemoryHypercalls(Domain, Mmu);
        Assists = new VmAssists(Domain, Space);
        Kernel = kernel ?? SyntheticKernel.Create();
        Pages = pages;
        try
        {
            Result = new PvDomainBuilder(Domain, Mmu).Build(
                new PvBuildRequest(Kernel, ramdisk, "console=hvc0", pages, new EventPort(1), new EventPort(2)));
        }
        catch
        {
            Dispose();
            throw;
        }

        Assert.Equal(0, Mmu.LoadRoot(Vcpu, Result.Root.Value, user: false));
        InitialState.Enter(Vcpu, Result.Entry, Result.StackTop, Result.StartInfo);
    }

    public MachineSpace Space { get; }

    public Domain Domain { get; }

    public MmuHypercalls Mmu { get; }

    public VmAssists Assists { get; }

    public KernelImage Kernel { get; }

    public ulong Pages { get; }

    public PvBuildResult Result { get; }

    public PvVcpu Vcpu => Domain.Vcpus[0];

    public GuestMemory Memory => Space.Memory;

    /// <summary>Guest-virtual address for a hypercall's structures.</summary>
    public ulong Arguments => Result.StackTop;

    /// <summary>The engine of the vCPUs, disposed with the guest; null for scripted ones.</summary>
    public IDisposable? Engine { get; set; }

    /// <summary>How often hypercalls were restarted.</summary>
    public int Restarts => _restarts;

    /// <summary>Address of a mapped page that no test structure is in.</summary>
    public ulong MappedPage(int number) => Result.StackTop + ((PaddingForArguments + (ulong)number) << 12);

    /// <summary>The machine frame that an address leads to.</summary>
    public ulong FrameAt(ulong address)
    {
        Assert.True(Vcpu.Guest.TryTranslate(address, PageFaultErrors.None, out ulong physical), $"{address:x} is not mapped");
        return physical >> 12;
    }

    /// <summary>The L1 entry of an address.</summary>
    public ulong EntryAt(ulong address)
    {
        Assert.True(Mmu.TryFindEntry(Vcpu.KernelRoot, address, out ulong entry));
        Assert.True(Memory.TryReadUInt64(entry, out ulong value));
        return value;
    }

    /// <summary>A frame of the guest's that nothing refers to: from the end of its memory.</summary>
    public ulong FreeFrame(int number) => MachineSpace.InitialFrame(Pages - 1 - (ulong)number, Pages);

    public ref FrameInfo Info(ulong frame)
    {
        Assert.True(Space.TryGet(frame, out int index));
        return ref Space[index];
    }

    /// <summary>Makes a hypercall and goes on with it while it is restarted, as the vCPU's loop does.</summary>
    public long Call(HypercallNumber number, params ReadOnlySpan<ulong> arguments) => Call(Vcpu, number, arguments);

    public long Call(PvVcpu vcpu, HypercallNumber number, params ReadOnlySpan<ulong> arguments)
    {
        ReadOnlySpan<int> registers = [7, 6, 2, 10, 8, 9];
        ulong* gpr = vcpu.State->Gpr;
        for (int i = 0; i < ArgumentRegisters; i++)
        {
            gpr[registers[i]] = i < arguments.Length ? arguments[i] : 0;
        }

        for (int attempt = 0; attempt < 100_000; attempt++)
        {
            HypercallArguments current = new(gpr[7], gpr[6], gpr[2], gpr[10], gpr[8], gpr[9]);
            long result = Domain.Hypercalls.Call(vcpu, (ulong)number, in current);
            if (result != HypercallTable.Restart)
            {
                return result;
            }

            Interlocked.Increment(ref _restarts);
        }

        throw new InvalidOperationException($"{number} does not come to an end");
    }

    public long MmuUpdate(ulong pointer, ulong value)
    {
        Put(pointer, value);
        return Call(HypercallNumber.MmuUpdate, Arguments, 1, 0, DomainId.Self.Value);
    }

    public long Extended(MmuExtendedCommand command, ulong first, ulong second = 0)
    {
        Put((ulong)command, first, second);
        return Call(HypercallNumber.MmuExtOp, Arguments, 1, 0, DomainId.Self.Value);
    }

    public long UpdateVa(ulong address, ulong value, ulong flags = 0) => Call(HypercallNumber.UpdateVaMapping, address, value, flags);

    public long MemoryOp(MemoryOperation operation, ulong address) => Call(HypercallNumber.MemoryOp, (ulong)operation, address);

    /// <summary>A reservation call over a list of frames or extents.</summary>
    /// <returns>Its result; the list as the call left it is in <paramref name="extents"/>.</returns>
    public long Reserve(MemoryOperation operation, Span<ulong> extents, int order = 0)
    {
        ulong list = Arguments + 64;
        Assert.True(Vcpu.Guest.TryWrite(list, MemoryMarshal.AsBytes(extents)));
        Put(list, (ulong)extents.Length, (uint)order, DomainId.Self.Value);
        long result = MemoryOp(operation, Arguments);
        Assert.True(Vcpu.Guest.TryRead(list, MemoryMarshal.AsBytes(extents)));
        return result;
    }

    /// <summary>Writes words where the arguments are.</summary>
    public void Put(params ReadOnlySpan<ulong> words) => Assert.True(Vcpu.Guest.TryWrite(Arguments, MemoryMarshal.AsBytes(words)));

    /// <summary>Writes an entry into a frame that is no page table, past all checks.</summary>
    public void Poke(ulong frame, int slot, ulong value) => Assert.True(Memory.TryWriteUInt64((frame << 12) + ((ulong)slot * 8), value));

    public ulong Peek(ulong frame, int slot)
    {
        Assert.True(Memory.TryReadUInt64((frame << 12) + ((ulong)slot * 8), out ulong value));
        return value;
    }

    public void Dispose()
    {
        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            vcpu.Cpu.Dispose();
        }

        Engine?.Dispose();
        Memory.Dispose();
    }
}
