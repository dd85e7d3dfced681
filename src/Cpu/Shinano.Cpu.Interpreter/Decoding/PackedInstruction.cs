using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// An instruction kept inside its op, in the place of the number of an object that does not exist: 16 bytes over <see cref="Op.Imm"/> and
/// <see cref="Op.Target"/>. Its memory operand is reduced to what host code depends on; the op has the address.
/// </summary>
internal static unsafe class PackedInstruction
{
    private const int Capacity = 2 * sizeof(ulong);

    public static void Pack(Instruction instruction, ref Op op)
    {
        // Any base of the same size will do.
        bool address32 = instruction.MemoryBase.GetSize() == 4 || (instruction.MemoryBase == Register.None && instruction.MemoryDisplSize == 4);
        instruction.MemoryBase = address32 ? Register.ESI : Register.RSI;
        instruction.MemoryDisplacement64 = 0;
        instruction.MemoryDisplSize = 0;
        if (!instruction.IsVsib)
        {
            instruction.MemoryIndex = Register.None;
            instruction.MemoryIndexScale = 1;
        }

        instruction.SegmentPrefix = Register.None;
        using MemoryStream stream = new();
        _ = Encoder.Create(64, new StreamCodeWriter(stream)).Encode(instruction, 0);
        Span<byte> bytes = stackalloc byte[Capacity];
        bytes.Clear();
        stream.ToArray().CopyTo(bytes);
        op.Imm = BitConverter.ToInt64(bytes);
        op.Target = (Op*)BitConverter.ToUInt64(bytes[sizeof(ulong)..]);
    }

    public static Instruction Unpack(Op* op)
    {
        byte[] bytes = new byte[Capacity];
        BitConverter.TryWriteBytes(bytes, op->Imm);
        BitConverter.TryWriteBytes(bytes.AsSpan(sizeof(ulong)), (ulong)op->Target);
        return Decoder.Create(64, bytes).Decode();
    }
}
