using Iced.Intel;
using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator;

/// <summary>Decodes superblocks from a copy of a page, and looks ahead at what the code behind a jump does with the flags.</summary>
internal sealed class BlockScanner
{
    private const int LookAheadInstructions = 8;
    private const int MaxLength = 15;

    private readonly InstructionClassifier _classifier;
    private readonly byte[] _page = new byte[GuestMemory.PageSize + MaxLength];
    private readonly Reader _reader;
    private readonly Decoder _decoder;

    public BlockScanner(InstructionClassifier classifier)
    {
        _classifier = classifier;
        _reader = new Reader(_page);
        _decoder = Decoder.Create(64, _reader);
    }

    /// <summary>The page's bytes; to be filled before <see cref="Scan"/>.</summary>
    public Span<byte> Page => _page.AsSpan(0, GuestMemory.PageSize);

    /// <summary>The first bytes of the next linear page; read only by a scan that is told so.</summary>
    public Span<byte> NextPage => _page.AsSpan(GuestMemory.PageSize);

    /// <summary>Those of the page's frame; null for none.</summary>
    public FrameProbes? Probes { get; set; }

    /// <summary>Decodes from <paramref name="rip"/> on. What begins at a probe is the interpreter's, which leaves for it.</summary>
    /// <param name="allowVex">Whether the vCPU may execute VEX-encoded vector instructions.</param>
    /// <param name="withNext">Whether <see cref="NextPage"/> is filled.</param>
    /// <returns>Whether the block ended for want of the next page's bytes.</returns>
    public bool Scan(GuestBlock block, ulong rip, int context, bool allowVex, bool withNext)
    {
        block.Start(rip, context);
        _reader.End = withNext ? _page.Length : GuestMemory.PageSize;
        bool wantsNext = false;
        ulong page = rip & ~(ulong)(GuestMemory.PageSize - 1);
        int start = (int)(rip - page);
        int at = start;
        while (true)
        {
            block.EndRip = page + (ulong)at;
            if (block.Count == GuestBlock.MaxInstructions || at >= GuestMemory.PageSize)
            {
                break;
            }

            if (Probes is not null && Probes.Contains(at))
            {
                block.EndsForeign = true;
                break;
            }

            Instruction code = Decode(page, at);
            wantsNext = code.IsInvalid && _decoder.LastError == DecoderError.NoMoreBytes && !withNext;
            GuestInstruction instruction = _classifier.Classify(code);
            if (instruction.Kind == InstructionKind.Foreign || (instruction.IsVex && !allowVex))
            {
                block.EndsForeign = true;
                block.AddChunks(at, Math.Min(at + MaxLength, GuestMemory.PageSize));
                break;
            }

            block.Add(instruction);
            at += code.Length;
            block.Crosses = at > GuestMemory.PageSize;
            if (instruction.Kind is InstructionKind.Jump or InstructionKind.JumpIndirect or InstructionKind.Return or InstructionKind.Syscall)
            {
                block.EndRip = page + (ulong)at;
                break;
            }
        }

        block.AddChunks(start, Math.Min(at, GuestMemory.PageSize));
        return wantsNext;
    }

    /// <summary>Whether code at a linear address may read flags from before. Looks no further than the block's page.</summary>
    public bool MayReadFlags(GuestBlock block, ulong target)
    {
        ulong page = block.Rip & ~(ulong)(GuestMemory.PageSize - 1);
        ulong offset = target - page;
        ArithmeticFlag open = ArithmeticFlag.All;
        int at = (int)offset;
        for (int i = 0; i < LookAheadInstructions; i++)
        {
            if (offset >= GuestMemory.PageSize || at >= GuestMemory.PageSize || (Probes is not null && Probes.Contains(at)))
            {
                return true;
            }

            GuestInstruction instruction = _classifier.Classify(Decode(page, at));
            if (instruction.Kind == InstructionKind.Foreign || at + instruction.Code.Length > GuestMemory.PageSize)
            {
                return true;
            }

            block.AddChunks(at, at + instruction.Code.Length);
            if ((instruction.FlagsRead & open) != 0)
            {
                return true;
            }

            open &= ~instruction.FlagsReplaced;
            if (open == ArithmeticFlag.None)
            {
                return false;
            }

            switch (instruction.Kind)
            {
                case InstructionKind.Jump:
                    offset = instruction.Code.NearBranchTarget - page;
                    at = (int)offset;
                    break;
                case InstructionKind.JumpIf or InstructionKind.JumpIndirect or InstructionKind.Call or InstructionKind.CallIndirect or InstructionKind.Return
                    or InstructionKind.Syscall:
                    return true;
                default:
                    at += instruction.Code.Length;
                    break;
            }
        }

        return true;
    }

    private Instruction Decode(ulong page, int at)
    {
        _reader.Position = at;
        _decoder.IP = page + (ulong)at;
        _decoder.Decode(out Instruction code);
        return code;
    }

    private sealed class Reader(byte[] bytes) : CodeReader
    {
        public int Position { get; set; }

        public int End { get; set; } = bytes.Length;

        public override int ReadByte() => Position < End ? bytes[Position++] : -1;
    }
}
