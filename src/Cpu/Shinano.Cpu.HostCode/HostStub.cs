using Iced.Intel;

namespace Shinano.Cpu.HostCode;

/// <summary>
/// One instruction in a form that runs on the host CPU over a <see cref="CpuState"/>, with what a caller must check and provide beforehand.
/// Immutable; any thread may execute it at any time, on different states.
/// </summary>
/// <remarks>
/// The caller has checked what <see cref="Unit"/> names, that <see cref="Feature"/> is advertised, translated the memory operand with the
/// access it needs, and copies a page-crossing operand through a buffer of its own (with the same low 6 address bits, so that alignment is seen
/// right; filled beforehand even when the instruction only writes, because an x87 exception may keep it from writing).
/// A stub never moves RIP and touches no memory but the state and the operand.
/// </remarks>
public sealed unsafe class HostStub
{
    private readonly delegate* unmanaged[SuppressGCTransition]<CpuState*, byte*, ulong, uint> _native;
    private readonly delegate*<CpuState*, byte*, ulong, HostStatus> _managed;
    private readonly StubArena? _arena;
    private readonly bool _isWaiting;

    internal HostStub(in InstructionPolicy policy, StubArena arena, void* entry)
        : this(policy)
    {
        _arena = arena;
        _native = (delegate* unmanaged[SuppressGCTransition]<CpuState*, byte*, ulong, uint>)entry;
    }

    internal HostStub(in InstructionPolicy policy, delegate*<CpuState*, byte*, ulong, HostStatus> managed)
        : this(policy) => _managed = managed;

    private HostStub(in InstructionPolicy policy)
    {
        Code = policy.Code;
        Unit = policy.Unit;
        Feature = policy.Feature;
        MemorySize = policy.MemorySize;
        ReadsMemory = policy.ReadsMemory;
        WritesMemory = policy.WritesMemory;
        Alignment = policy.Alignment;
        _isWaiting = policy.IsWaiting;
    }

    /// <summary>The instruction's encoding.</summary>
    public Code Code { get; }

    /// <summary>Which part of the CPU it uses.</summary>
    public HostUnit Unit { get; }

    /// <summary>The groups that must be advertised, all of them; none for what every x86-64 CPU has.</summary>
    public CpuFeatures Feature { get; }

    /// <summary>Bytes of the memory operand; 0 when there is none.</summary>
    public int MemorySize { get; }

    /// <summary>Whether the operand's bytes are read.</summary>
    public bool ReadsMemory { get; }

    /// <summary>Whether the operand's bytes are written.</summary>
    public bool WritesMemory { get; }

    /// <summary>Alignment in bytes that the operand must have, else #GP(0) (<see cref="HostStatus.Misaligned"/>); 1 when any will do.</summary>
    public int Alignment { get; }

    /// <summary>
    /// Whether it would end as <see cref="HostStatus.X87Pending"/>, which comes before faults of its memory operand: to be asked before that is translated.
    /// </summary>
    public bool IsX87Pending(CpuState* state) => _isWaiting && X87Environment.IsPending(state);

    /// <summary>Executes the instruction.</summary>
    /// <param name="state">The vCPU.</param>
    /// <param name="memory">The operand's bytes; ignored when <see cref="MemorySize"/> is 0.</param>
    /// <param name="offset">
    /// The operand's effective address, without its segment's base: for <see cref="HostUnit.X87"/>, which keeps it as its data pointer, as it keeps
    /// <see cref="CpuState.Rip"/> as its instruction pointer. Others ignore both.
    /// </param>
    public HostStatus Execute(CpuState* state, byte* memory, ulong offset)
    {
        if (_native == null)
        {
            return _managed(state, memory, offset);
        }

        HostStatus status = (HostStatus)_native(state, memory, offset);
        GC.KeepAlive(_arena);
        return status;
    }
}
