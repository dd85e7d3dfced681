using Shinano.Cpu.Interpreter;
using Shinano.Cpu.Interpreter.Tests.Differential;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>One of the two machines: an engine with one vCPU, two roots (contexts 0 and 1), pages of code, of data, and of spare content.</summary>
internal sealed unsafe class LockStepMachine : IDisposable
{
    public const ulong CounterBase = 0x3000_0000;
    public const int DataPages = 3;

    /// <summary>The data pages are at each of them; addresses before the last one are not canonical.</summary>
    public static readonly ulong[] DataBases = [MachineCase.DataBase, MachineCase.DataBase, 0xFFFF_8880_0000_0000, 0xFFFF_8000_0000_0000];

    private const ulong FirstFrame = 0x1000;
    private const int FrameCount = 96;
    private const ulong Rights = PageTableEntry.Present | PageTableEntry.User | PageTableEntry.Writable;
    private const int PageSize = LockStepProgram.PageSize;
    private const ulong CodeFrame = FirstFrame + 2;
    private const ulong DataFrame = CodeFrame + LockStepProgram.Pages;
    private const ulong CounterFrame = DataFrame + DataPages;
    private const ulong SpareFrame = CounterFrame + 1;
    private const int Spares = 3;
    private const ulong TableFrame = SpareFrame + Spares;

    private readonly GuestMemory _memory = new(FirstFrame, FrameCount);
    private readonly ICpuEngine _engine;
    private ulong _nextFrame;
    private ulong _countBefore;

    /// <param name="threshold">The translator with that threshold; null for the interpreter.</param>
    public LockStepMachine(int? threshold)
    {
        CpuEngineSettings settings = new(GuestKind.Paravirtual, InterpreterEngine.Supported);
        _memory.AddRam(FirstFrame, FrameCount);
        _engine = threshold is { } executions
            ? new TranslatorEngine(_memory, settings, 1 << 20, executions)
            : new InterpreterEngine(_memory, settings);
        Cpu = _engine.CreateVirtualCpu();
    }

    public VirtualCpu Cpu { get; }

    public CpuState* State => Cpu.State;

    public CpuExit Exit { get; private set; }

    /// <summary>Instructions of the last run.</summary>
    public ulong Counted { get; private set; }

    /// <summary>Sets memory, page tables and registers up for a program.</summary>
    public void Start(LockStepProgram program, CaseRandom random)
    {
        byte[] page = new byte[PageSize];
        for (ulong frame = FirstFrame; frame < FirstFrame + FrameCount; frame++)
        {
            page.AsSpan().Clear();
            if (frame - CodeFrame < LockStepProgram.Pages)
            {
                program.Image.AsSpan((int)(frame - CodeFrame) * PageSize, PageSize).CopyTo(page);
            }
            else if (frame >= DataFrame && frame < TableFrame && frame != CounterFrame)
            {
                random.Fill(page);
            }

            _ = _memory.TryWrite(frame << 12, page);
        }

        _nextFrame = TableFrame;
        bool turned = random.Percent(20);
        for (int context = 0; context < 2; context++)
        {
            for (int i = 0; i < LockStepProgram.Pages; i++)
            {
                Map(context, program.Base + (ulong)(i * PageSize), CodeFrame + (ulong)(turned && context == 1 && i < 2 ? 1 - i : i), Rights);
            }

            foreach (ulong data in DataBases)
            {
                for (int i = 0; i < DataPages; i++)
                {
                    Map(context, data + (ulong)(i * PageSize), DataFrame + (ulong)i, Rights | PageTableEntry.NoExecute);
                }
            }

            Map(context, CounterBase, CounterFrame, Rights);
        }

        Cpu.FlushTranslations();
        Prepare(program, random);
    }

    /// <summary>Runs to the next exit.</summary>
    public void Run()
    {
        _ = _memory.TryWriteUInt64(CounterFrame << 12, 40);
        _countBefore = Cpu.InstructionCount;
        Cpu.Run(out CpuExit exit);
        Counted = Cpu.InstructionCount - _countBefore;
        Exit = exit;
    }

    /// <summary>Sets a page's entry in a context and drops the translation.</summary>
    /// <param name="page">Which page: code pages first, then the data pages of each base.</param>
    /// <param name="choice">What becomes of it.</param>
    public void Change(LockStepProgram program, int page, int choice)
    {
        int context = choice & 1;
        bool isCode = page < LockStepProgram.Pages;
        int number = isCode ? page : (page - LockStepProgram.Pages) % DataPages;
        ulong linear = isCode
            ? program.Base + (ulong)(number * PageSize)
            : DataBases[(page - LockStepProgram.Pages) / DataPages % DataBases.Length] + (ulong)(number * PageSize);
        ulong frame = isCode ? CodeFrame + (ulong)number : DataFrame + (ulong)number;
        (ulong to, ulong flags) = (choice >> 1) switch
        {
            0 => (frame, 0UL),
            1 => (frame, Rights & ~PageTableEntry.Writable),
            2 => (SpareFrame + (ulong)(number % Spares), Rights),
            3 => (CodeFrame + (ulong)((number + 1) % LockStepProgram.Pages), Rights),
            _ => (frame, Rights),
        };
        Map(context, linear, to, flags);
        Cpu.FlushPage(linear);
    }

    /// <summary>A device writes into the code.</summary>
    public void WriteCode(int offset, byte value) => _ = _memory.TryWrite((CodeFrame << 12) + (ulong)offset, [value]);

    public void SetContext(int context)
    {
        State->TranslationContext = (ulong)context;
        State->Cr3 = (FirstFrame + (ulong)context) << 12;
    }

    /// <summary>What differs from another machine in the same place; null when nothing does.</summary>
    /// <param name="ignoredFlags">Flags that need not agree.</param>
    public string? Difference(LockStepMachine other, ulong ignoredFlags)
    {
        if (Exit.Kind != other.Exit.Kind || Exit.Vector != other.Exit.Vector || Exit.ErrorCode != other.Exit.ErrorCode || Exit.Address != other.Exit.Address)
        {
            return $"exit: {Describe(Exit)} at {State->Rip:X}, here {Describe(other.Exit)} at {other.State->Rip:X}";
        }

        if (Counted != other.Counted)
        {
            return $"instructions: {Counted}, here {other.Counted}";
        }

        foreach (RegisterDescriptor register in RegisterTable.All)
        {
            ReadOnlySpan<byte> expected = RegisterTable.Bytes(State, register);
            ReadOnlySpan<byte> actual = RegisterTable.Bytes(other.State, register);
            if (register.Offset == RegisterOffset(&State->Rflags))
            {
                if (((State->Rflags ^ other.State->Rflags) & ~ignoredFlags) != 0)
                {
                    return $"rflags: {State->Rflags:X}, here {other.State->Rflags:X}";
                }
            }
            else if (!expected.SequenceEqual(actual))
            {
                return $"{register.Name}: {Convert.ToHexString(expected)}, here {Convert.ToHexString(actual)} (bytes in memory order)";
            }
        }

        return MemoryDifference(other);
    }

    public void Dispose()
    {
        Cpu.Dispose();
        _engine.Dispose();
        _memory.Dispose();
    }

    private static string Describe(CpuExit exit) => $"{exit.Kind} {exit.Vector} {exit.ErrorCode:X} {exit.Address:X}";

    private int RegisterOffset(void* field) => (int)((byte*)field - (byte*)State);

    private string? MemoryDifference(LockStepMachine other)
    {
        for (ulong frame = FirstFrame; frame < FirstFrame + FrameCount; frame++)
        {
            Span<ulong> expected = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(_memory.FrameSpan(frame));
            Span<ulong> actual = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(other._memory.FrameSpan(frame));
            if (expected.SequenceEqual(actual))
            {
                continue;
            }

            // A translation looks where jumps lead, as a CPU that fetches ahead does: accessed bits may be set early.
            ulong ignored = frame < CodeFrame || frame >= TableFrame ? PageTableEntry.Accessed : 0;
            for (int i = 0; i < expected.Length; i++)
            {
                if (((expected[i] ^ actual[i]) & ~ignored) != 0)
                {
                    return $"frame {frame - FirstFrame} at {i * 8:X}: {expected[i]:X}, here {actual[i]:X}";
                }
            }
        }

        return null;
    }

    private void Prepare(LockStepProgram program, CaseRandom random)
    {
        CpuState* state = State;
        RegisterTable.Reset(state);
        for (int i = 0; i < 16; i++)
        {
            state->Gpr[i] = random.Percent(30) ? MachineCase.DataBase + (ulong)random.Below(DataPages * PageSize) : random.Integer();
        }

        state->Gpr[4] = MachineCase.DataBase + 0x1800 + (ulong)(8 * random.Below(64));
        state->Rip = program.Starts[0];
        state->Rflags = 0x202 | (random.Next() & 0x8D5);
        state->Cpl = 3;
        state->Cr0 = 0x8005_0033;
        state->Cr4 = (1 << 5) | (1 << 9) | (1 << 10) | (1 << 16) | (1 << 18);
        state->Efer = 0xD01;
        state->Xcr0 = 7;
        state->Cs = new SegmentRegister { Selector = 0x33, Limit = uint.MaxValue, Attributes = 0xA0FB };
        state->Ss = new SegmentRegister { Selector = 0x2B, Limit = uint.MaxValue, Attributes = 0xC0F3 };
        state->Fs = new SegmentRegister { Base = (random.Next() & 0xFF) << 4 };
        state->Gs = new SegmentRegister { Base = random.Percent(80) ? 0 : unchecked((ulong)-(long)(random.Next() & 0xFFFF)) };
        for (int i = 0; i < 16; i++)
        {
            random.FillVector(new Span<byte>(state->Xsave + CpuState.XmmOffset + (16 * i), 16));
            random.FillVector(new Span<byte>(state->Xsave + CpuState.YmmHighOffset + (16 * i), 16));
        }

        state->Xsave[CpuState.XstateBvOffset] = 7;
        *(uint*)(state->Xsave + CpuState.MxcsrOffset) = random.Percent(85) ? 0x1F80 | ((uint)random.Next() & 0xE07F) : (uint)random.Next() & 0xFFFF;
        SetContext(random.Below(2));
    }

    private void Map(int context, ulong linear, ulong frame, ulong flags)
    {
        ulong table = (FirstFrame + (ulong)context) << 12;
        for (int level = 4; level > 1; level--)
        {
            ulong at = table + ((ulong)PageTableEntry.Index(linear, level) * 8);
            _ = _memory.TryReadUInt64(at, out ulong entry);
            if ((entry & PageTableEntry.Present) == 0)
            {
                entry = (_nextFrame++ << 12) | Rights;
                _ = _memory.TryWriteUInt64(at, entry);
            }

            table = entry & PageTableEntry.AddressMask;
        }

        _ = _memory.TryWriteUInt64(table + ((ulong)PageTableEntry.Index(linear, 1) * 8), flags == 0 ? 0 : (frame << 12) | flags);
    }
}
