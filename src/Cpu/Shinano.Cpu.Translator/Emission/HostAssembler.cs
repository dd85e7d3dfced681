using System.Buffers.Binary;
using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>
/// Bytes of one piece of generated code in two sections, hot and cold, which are placed apart; with labels across both. What the
/// translator emits itself has encodings here; rewritten guest instructions go through Iced's encoder.
/// </summary>
/// <remarks>Not thread-safe; reused for each piece.</remarks>
internal sealed class HostAssembler
{
    /// <summary>Bytes of a cache line: a field that is patched while others execute must not cross one.</summary>
    private const int CacheLine = 64;

    private readonly Section _hot = new();
    private readonly Section _cold = new();
    private readonly List<(bool Cold, int Position)> _labels = [];
    private readonly List<(bool Cold, int Position, int Label)> _fixups = [];
    private readonly Encoder _encoder;
    private Section _current;
    private int _hotAt;
    private int _coldAt;

    public HostAssembler()
    {
        _current = _hot;
        _encoder = Encoder.Create(64, new Writer(this));
    }

    /// <summary>Emits into the cold section, then goes on where it was.</summary>
    public void Cold(Action emit)
    {
        Section before = _current;
        _current = _cold;
        emit();
        _current = before;
    }

    /// <summary>Bytes of the code that is executed always.</summary>
    public int HotLength => _hot.Length;

    /// <summary>Bytes of the code for the unusual.</summary>
    public int ColdLength => _cold.Length;

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _hot.Length = 0;
        _cold.Length = 0;
        _current = _hot;
        _labels.Clear();
        _fixups.Clear();
    }

    public int NewLabel()
    {
        _labels.Add((false, -1));
        return _labels.Count - 1;
    }

    /// <summary>Puts a label here.</summary>
    public void Bind(int label) => _labels[label] = (_current == _cold, _current.Length);

    /// <summary>A new label here.</summary>
    public int Here()
    {
        int label = NewLabel();
        Bind(label);
        return label;
    }

    /// <summary>Offset of a bound label in the memory that the piece is in; after <see cref="Finish"/>.</summary>
    public int OffsetOf(int label) => At(_labels[label].Cold, _labels[label].Position);

    /// <summary>Resolves the labels and copies the code to its places.</summary>
    /// <param name="memory">All of the memory.</param>
    /// <param name="hot">Where the hot section goes: the start of a cache line, so that places to patch are aligned.</param>
    /// <param name="cold">Where the cold section goes; the same.</param>
    public void Finish(Span<byte> memory, int hot, int cold)
    {
        _hotAt = hot;
        _coldAt = cold;
        _hot.Bytes.AsSpan(0, _hot.Length).CopyTo(memory[hot..]);
        _cold.Bytes.AsSpan(0, _cold.Length).CopyTo(memory[cold..]);
        foreach ((bool isCold, int position, int label) in _fixups)
        {
            int at = At(isCold, position);
            BinaryPrimitives.WriteInt32LittleEndian(memory[at..], OffsetOf(label) - (at + sizeof(int)));
        }
    }

    /// <summary>Emits a rewritten guest instruction.</summary>
    public void Instruction(in Instruction instruction) => _encoder.Encode(instruction, 0);

    /// <summary>A general instruction: prefix (0 for none), REX.W, opcode (0x0Fxx and 0x0F38xx with their escapes), reg field, r/m operand.</summary>
    public void Op(byte prefix, bool wide, int opcode, int reg, HostOperand rm)
    {
        if (rm.InState)
        {
            Byte(0x65);
        }

        if (prefix != 0)
        {
            Byte(prefix);
        }

        int high = ((reg & 8) >> 1) | (rm.Register >= 0 ? (rm.Register & 8) >> 3 : (rm.Index >= 0 ? (rm.Index & 8) >> 2 : 0) | (rm.Base >= 0 ? (rm.Base & 8) >> 3 : 0));
        if (wide || high != 0)
        {
            Byte((byte)(0x40 | (wide ? 8 : 0) | high));
        }

        if (opcode > 0xFFFF)
        {
            Byte((byte)(opcode >> 16));
        }

        if (opcode > 0xFF)
        {
            Byte((byte)(opcode >> 8));
        }

        Byte((byte)opcode);
        ModRm(reg, rm);
    }

    /// <summary>MOV r64, r64.</summary>
    public void Move(int destination, int source) => Op(0, true, 0x8B, destination, HostOperand.Reg(source));

    /// <summary>RORX r32, r32, count: VEX.LZ.F2.0F3A.W0 F0 /r. Keeps the flags; the upper half becomes zero.</summary>
    public void RotateRight(int destination, int source, int count) =>
        Bytes([0xC4, (byte)((destination < 8 ? 0x80 : 0) | 0x40 | (source < 8 ? 0x20 : 0) | 3), 0x7B, 0xF0, (byte)(0xC0 | ((destination & 7) << 3) | (source & 7)), (byte)count]);

    /// <summary>MOV r32, r32: the upper half becomes zero.</summary>
    public void Move32(int destination, int source) => Op(0, false, 0x8B, destination, HostOperand.Reg(source));

    /// <summary>MOV r64, [m].</summary>
    public void Load(int destination, HostOperand source) => Op(0, true, 0x8B, destination, source);

    /// <summary>MOV [m], r64.</summary>
    public void Store(HostOperand destination, int source) => Op(0, true, 0x89, source, destination);

    /// <summary>LEA r64.</summary>
    public void Lea(int destination, HostOperand source) => Op(0, true, 0x8D, destination, source);

    /// <summary>MOV r64, imm in the shortest form; flags stay.</summary>
    public void MoveImmediate(int destination, ulong value)
    {
        if (value <= uint.MaxValue)
        {
            if (destination >= 8)
            {
                Byte(0x41);
            }

            Byte((byte)(0xB8 | (destination & 7)));
            Int32((int)value);
        }
        else if ((long)value == (int)value)
        {
            Op(0, true, 0xC7, 0, HostOperand.Reg(destination));
            Int32((int)value);
        }
        else
        {
            Byte((byte)(destination >= 8 ? 0x49 : 0x48));
            Byte((byte)(0xB8 | (destination & 7)));
            Int32((int)value);
            Int32((int)(value >> 32));
        }
    }

    /// <summary>MOV qword [m], imm; through a scratch register when the value needs 64 bits.</summary>
    public void StoreImmediate(HostOperand destination, ulong value, int scratch)
    {
        if ((long)value == (int)value)
        {
            Op(0, true, 0xC7, 0, destination);
            Int32((int)value);
        }
        else
        {
            MoveImmediate(scratch, value);
            Store(destination, scratch);
        }
    }

    /// <summary>MOV dword [m], imm.</summary>
    public void StoreImmediate32(HostOperand destination, int value)
    {
        Op(0, false, 0xC7, 0, destination);
        Int32(value);
    }

    /// <summary>MOV byte [m], imm.</summary>
    public void StoreImmediate8(HostOperand destination, byte value)
    {
        Op(0, false, 0xC6, 0, destination);
        Byte(value);
    }

    /// <summary>An arithmetic instruction of group 1 with an immediate: 0 ADD, 4 AND, 5 SUB, 7 CMP.</summary>
    public void Arithmetic(int operation, bool wide, HostOperand operand, int value)
    {
        if (value is >= -128 and <= 127)
        {
            Op(0, wide, 0x83, operation, operand);
            Byte((byte)value);
        }
        else
        {
            Op(0, wide, 0x81, operation, operand);
            Int32(value);
        }
    }

    /// <summary>A shift of a register by a constant count.</summary>
    public void Shift(HostShift operation, bool wide, int register, int count)
    {
        Op(0, wide, 0xC1, (int)operation, HostOperand.Reg(register));
        Byte((byte)count);
    }

    /// <summary>CMP byte [m], imm.</summary>
    public void CompareByte(HostOperand operand, byte value)
    {
        Op(0, false, 0x80, 7, operand);
        Byte(value);
    }

    /// <summary>PEXT r64, r64, [m] (BMI2): does not touch the flags.</summary>
    public void ParallelExtract(int destination, int source, HostOperand mask)
    {
        // VEX.LZ.F3.0F38.W1 F5 /r; SDM 2B PEXT.
        Byte(0x65);
        Byte(0xC4);
        Byte((byte)(((destination & 8) == 0 ? 0x80 : 0) | 0x40 | (mask.Base >= 8 ? 0 : 0x20) | 2));
        Byte((byte)(0x80 | ((~source & 15) << 3) | 2));
        Byte(0xF5);
        ModRm(destination, mask);
    }

    /// <summary>Jcc rel32 to a label; the condition as encoded.</summary>
    public void JumpIf(int condition, int label)
    {
        Byte(0x0F);
        Byte((byte)(0x80 | condition));
        Fixup(label);
    }

    public void Jump(int label)
    {
        Byte(0xE9);
        Fixup(label);
    }

    public void Call(int label)
    {
        Byte(0xE8);
        Fixup(label);
    }

    /// <summary>JMP rel32 whose field may be patched later.</summary>
    /// <returns>Label of the field.</returns>
    public int PatchableJump(int label) => Patchable(1, 0xE9, label);

    /// <summary>CALL rel32 whose field may be patched later.</summary>
    /// <returns>Label of the field.</returns>
    public int PatchableCall(int label) => Patchable(1, 0xE8, label);

    /// <summary>Jcc rel32 whose field may be patched later.</summary>
    /// <returns>Label of the field.</returns>
    public int PatchableJumpIf(int condition, int label)
    {
        AlignPatch(2);
        Byte(0x0F);
        Byte((byte)(0x80 | condition));
        int field = Here();
        Fixup(label);
        return field;
    }

    /// <summary>JRCXZ over the following bytes that <paramref name="skipped"/> emits.</summary>
    public void SkipIfRcxZero(Action skipped)
    {
        Byte(0xE3);
        Byte(0);
        int from = _current.Length;
        skipped();
        _current.Bytes[from - 1] = checked((byte)(_current.Length - from));
    }

    private int Patchable(int ahead, byte opcode, int label)
    {
        AlignPatch(ahead);
        Byte(opcode);
        int field = Here();
        Fixup(label);
        return field;
    }

    /// <summary>Pads so that the 4 bytes at <paramref name="ahead"/> from here lie in one cache line; the piece is placed at the start of one.</summary>
    private void AlignPatch(int ahead)
    {
        while (((_current.Length + ahead) % CacheLine) + 4 > CacheLine)
        {
            Byte(0x90);
        }
    }

    /// <summary>An absolute jump to code elsewhere, through a slot of the state.</summary>
    public void JumpThrough(HostOperand slot) => Op(0, false, 0xFF, 4, slot);

    /// <summary>A call of code elsewhere, through a slot of the state.</summary>
    public void CallThrough(HostOperand slot) => Op(0, false, 0xFF, 2, slot);

    public void Byte(byte value) => _current.Add(value);

    public void Bytes(ReadOnlySpan<byte> values)
    {
        foreach (byte value in values)
        {
            Byte(value);
        }
    }

    public void Int32(int value) => _current.Add(value);

    private int At(bool cold, int position) => position + (cold ? _coldAt : _hotAt);

    private void Fixup(int label)
    {
        _fixups.Add((_current == _cold, _current.Length, label));
        Int32(0);
    }

    private void ModRm(int reg, HostOperand rm)
    {
        int field = (reg & 7) << 3;
        if (rm.Register >= 0)
        {
            Byte((byte)(0xC0 | field | (rm.Register & 7)));
            return;
        }

        if (rm.Base < 0)
        {
            // No base: SIB with base 5 and a displacement of 32 bits; an index of 4 is none.
            Byte((byte)(field | 4));
            Byte((byte)((rm.Scale << 6) | (rm.Index < 0 ? 4 << 3 : (rm.Index & 7) << 3) | 5));
            Int32(rm.Displacement);
            return;
        }

        bool sib = rm.Index >= 0 || (rm.Base & 7) == 4;
        int mod = rm.Displacement == 0 && (rm.Base & 7) != 5 ? 0 : rm.Displacement is >= -128 and <= 127 ? 0x40 : 0x80;
        Byte((byte)(mod | field | (sib ? 4 : rm.Base & 7)));
        if (sib)
        {
            Byte((byte)((rm.Scale << 6) | (rm.Index < 0 ? 4 << 3 : (rm.Index & 7) << 3) | (rm.Base & 7)));
        }

        if (mod == 0x40)
        {
            Byte((byte)rm.Displacement);
        }
        else if (mod == 0x80)
        {
            Int32(rm.Displacement);
        }
    }

    private sealed class Section
    {
        private byte[] _bytes = new byte[4096];

        public byte[] Bytes => _bytes;

        public int Length { get; set; }

        public void Add(byte value)
        {
            Reserve(sizeof(byte));
            _bytes[Length++] = value;
        }

        /// <summary>Four bytes, little-endian.</summary>
        public void Add(int value)
        {
            Reserve(sizeof(int));
            BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(Length), value);
            Length += sizeof(int);
        }

        private void Reserve(int count)
        {
            if (Length + count > _bytes.Length)
            {
                Array.Resize(ref _bytes, 2 * _bytes.Length);
            }
        }
    }

    private sealed class Writer(HostAssembler owner) : CodeWriter
    {
        public override void WriteByte(byte value) => owner._current.Add(value);
    }
}
