using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>
/// A copy of a machine with one vCPU, taken before a run of its engine. The interpreter runs it to its exit, too, and everything is compared. What the copy cannot repeat
/// (time, what other threads write meanwhile) makes the interpreter differ from itself, which is tried before a difference counts.
/// </summary>
internal sealed unsafe class ShadowMachine : IDisposable
{
    private const int PageSize = GuestMemory.PageSize;
    private const ulong Arithmetic = 0x8D5;

    /// <summary>After a prelude, of which all runs are compared, one of so many is.</summary>
    private const int Every = 37;

    /// <summary>Bytes. Source: public/xen.h, struct vcpu_info.</summary>
    private const ulong VcpuInfoSize = 64;

    /// <summary>Milliseconds after which a repeated run that does not end is given up.</summary>
    private const int Patience = 5000;

    private readonly GuestMemory _original;
    private readonly GuestMemory _memory;
    private readonly InterpreterEngine _engine;
    private readonly VirtualCpu _cpu;
    private readonly byte[] _before;
    private readonly byte[] _state = new byte[RegisterTable.SavedSize];
    private readonly ulong _prelude;
    private readonly ulong _goal;
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Timer _watchdog;
    private long _runs;

    /// <param name="goal">Instructions to compare.</param>
    public ShadowMachine(GuestMemory original, CpuFeatures features, ulong goal)
    {
        _original = original;
        _goal = goal;
        _prelude = Math.Min(1_000_000, goal / 10);
        _memory = new GuestMemory(original.FirstFrame, (long)original.FrameCount);
        _engine = new InterpreterEngine(_memory, new CpuEngineSettings(GuestKind.Paravirtual, features));
        _cpu = _engine.CreateVirtualCpu();
        _before = new byte[(long)original.FrameCount * PageSize];
        _watchdog = new Timer(_ => _cpu.Kick());
    }

    /// <summary>Frames that other threads write while a vCPU runs: they are not compared.</summary>
    public HashSet<ulong> Shared { get; } = [];

    /// <summary>Where the vCPU's vcpu_info is now: the hypervisor's clock and event channels write there.</summary>
    public Func<ulong>? VcpuInfo { get; set; }

    /// <summary>Runs that agreed.</summary>
    public long Compared { get; private set; }

    /// <summary>Instructions in them.</summary>
    public ulong Instructions { get; private set; }

    /// <summary>Runs that ended by a request from outside, or in which the interpreter differs from itself.</summary>
    public long Inconclusive { get; private set; }

    /// <summary>The first difference; null while there is none.</summary>
    public string? Difference { get; private set; }

    /// <summary>Whether the next run is to be compared.</summary>
    public bool WantsNext() => Difference is null && Instructions < _goal && (_runs++ % Every == 0 || Instructions < _prelude);

    /// <summary>Ends when the goal is reached, or at a difference.</summary>
    public Task Done => _done.Task;

    /// <summary>Takes the copy.</summary>
    public void Copy(CpuState* state)
    {
        for (ulong frame = _original.FirstFrame; frame < _original.FirstFrame + _original.FrameCount; frame++)
        {
            FrameFlags flags = _original.FlagsOf(frame) & ~FrameFlags.Code;
            if ((_memory.FlagsOf(frame) & ~FrameFlags.Code) != flags)
            {
                _memory.ChangeFlags(frame, flags, ~flags & ~FrameFlags.Code);
            }

            if ((flags & FrameFlags.Ram) != 0)
            {
                ReadOnlySpan<byte> page = _original.FrameSpan(frame);
                page.CopyTo(Before(frame));
                Restore(frame, page);
            }
        }

        RegisterTable.Save(state, _state);
    }

    /// <summary>Runs the copy and compares it with the original after its run.</summary>
    public void Compare(CpuState* state, CpuExit exit, ulong instructions)
    {
        if (exit.Kind == CpuExitKind.Kicked)
        {
            Inconclusive++;
            return;
        }

        ulong counted = Run(out CpuExit mine);
        string? difference = Find(state, exit, instructions, mine, counted);
        if (difference is null)
        {
            Compared++;
            Instructions += instructions;
            if (Instructions >= _goal)
            {
                _done.TrySetResult();
            }

            return;
        }

        byte[] first = new byte[RegisterTable.SavedSize];
        RegisterTable.Save(_cpu.State, first);
        byte[] firstMemory = new byte[_before.Length];
        for (ulong frame = _memory.FirstFrame; frame < _memory.FirstFrame + _memory.FrameCount; frame++)
        {
            if (_memory.IsRam(frame))
            {
                _memory.FrameSpan(frame).CopyTo(firstMemory.AsSpan(Offset(frame), PageSize));
                Restore(frame, Before(frame));
            }
        }

        ulong again = Run(out CpuExit second);
        byte[] last = new byte[RegisterTable.SavedSize];
        RegisterTable.Save(_cpu.State, last);
        bool repeats = again == counted && second.Kind == mine.Kind && first.AsSpan().SequenceEqual(last);
        for (ulong frame = _memory.FirstFrame; repeats && frame < _memory.FirstFrame + _memory.FrameCount; frame++)
        {
            repeats = !_memory.IsRam(frame) || _memory.FrameSpan(frame).SequenceEqual(firstMemory.AsSpan(Offset(frame), PageSize));
        }

        if (!repeats)
        {
            Inconclusive++;
            return;
        }

        RegisterTable.Restore(_cpu.State, _state);
        Difference = $"run {_runs}, from {_cpu.State->Rip:X}, {instructions} instructions to {state->Rip:X}: {difference}";
        _done.TrySetResult();
    }

    public void Dispose()
    {
        _watchdog.Dispose();
        _cpu.Dispose();
        _engine.Dispose();
        _memory.Dispose();
    }

    private int Offset(ulong frame) => (int)(frame - _original.FirstFrame) * PageSize;

    private Span<byte> Before(ulong frame) => _before.AsSpan(Offset(frame), PageSize);

    private void Restore(ulong frame, ReadOnlySpan<byte> page)
    {
        if (!_memory.FrameSpan(frame).SequenceEqual(page))
        {
            _ = _memory.TryWrite(frame << GuestMemory.PageShift, page);
        }
    }

    private ulong Run(out CpuExit exit)
    {
        RegisterTable.Restore(_cpu.State, _state);
        _cpu.FlushTranslations();
        ulong before = _cpu.InstructionCount;
        _watchdog.Change(Patience, Timeout.Infinite);
        _cpu.Run(out exit);
        _watchdog.Change(Timeout.Infinite, Timeout.Infinite);
        return _cpu.InstructionCount - before;
    }

    private string? Find(CpuState* state, CpuExit exit, ulong instructions, CpuExit mine, ulong counted)
    {
        if (exit.Kind != mine.Kind || exit.Vector != mine.Vector || exit.ErrorCode != mine.ErrorCode || exit.Address != mine.Address)
        {
            return $"exit {mine.Kind} {mine.Vector} {mine.Address:X} at {_cpu.State->Rip:X}, here {exit.Kind} {exit.Vector} {exit.Address:X}";
        }

        if (instructions != counted)
        {
            return $"{counted} instructions";
        }

        ulong ignored = exit.Kind == CpuExitKind.Exception ? Arithmetic : 0;
        foreach (RegisterDescriptor register in RegisterTable.All)
        {
            ReadOnlySpan<byte> expected = RegisterTable.Bytes(_cpu.State, register);
            ReadOnlySpan<byte> actual = RegisterTable.Bytes(state, register);
            bool same = register.Name switch
            {
                "rflags" => ((_cpu.State->Rflags ^ state->Rflags) & ~ignored) == 0,

                // A block with a vector instruction counts as one that used them; SDM 1 §13.6 allows it.
                "xstate_bv" => true,
                _ => expected.SequenceEqual(actual),
            };
            if (!same)
            {
                return $"{register.Name} {Convert.ToHexString(expected)}, here {Convert.ToHexString(actual)} (bytes in memory order)";
            }
        }

        return FindInMemory();
    }

    private string? FindInMemory()
    {
        ulong info = VcpuInfo?.Invoke() ?? 0;
        for (ulong frame = _memory.FirstFrame; frame < _memory.FirstFrame + _memory.FrameCount; frame++)
        {
            if (!_memory.IsRam(frame) || Shared.Contains(frame) || _memory.FrameSpan(frame).SequenceEqual(_original.FrameSpan(frame)))
            {
                continue;
            }

            ReadOnlySpan<ulong> expected = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(_memory.FrameSpan(frame));
            ReadOnlySpan<ulong> actual = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(_original.FrameSpan(frame));
            for (int i = 0; i < expected.Length; i++)
            {
                // Accessed bits depend on what the look-aside tables held before, and on code that was translated early.
                ulong address = (frame << GuestMemory.PageShift) + (ulong)(i * 8);
                if (((expected[i] ^ actual[i]) & ~X86.PageTableEntry.Accessed) != 0 && address - info >= VcpuInfoSize)
                {
                    return $"memory at {address:X}: {expected[i]:X}, here {actual[i]:X}";
                }
            }
        }

        return null;
    }
}
