using Iced.Intel;
using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>Turns bytes into ops. Not thread-safe: the code cache has one under its gate, each vCPU one for its private slots.</summary>
internal sealed unsafe class BlockDecoder
{
    /// <summary>Instructions per block at most.</summary>
    public const int MaxInstructions = 64;

    /// <summary>Architectural limit of an instruction's length. Source: SDM 2A §2.3.11.</summary>
    public const int MaxLength = 15;

    private readonly OpSelector _selector;
    private readonly byte[] _input = new byte[4096];
    private readonly Op[] _output = new Op[MaxInstructions + 1];
    private readonly Reader _reader;
    private readonly Decoder _long64;

    public BlockDecoder(OpSelector selector)
    {
        _selector = selector;
        _reader = new Reader(_input);
        _long64 = Decoder.Create(64, _reader);
    }

    /// <summary>The bytes that the last call decoded.</summary>
    public ReadOnlySpan<byte> Input => _input;

    public ReadOnlySpan<Op> Output => _output;

    /// <summary>Decodes from the start of <paramref name="bytes"/>, which end with the page, up to the end of a block.</summary>
    /// <param name="offset">Offset of the first byte in its page.</param>
    /// <param name="single">Decode one instruction for a private slot; <paramref name="bytes"/> may then go past the page.</param>
    /// <param name="probes">Those of the frame; null for none. A block ends before one, or is nothing but it.</param>
    /// <param name="end">Offset in the page after the last byte looked at.</param>
    /// <returns>Number of ops in <see cref="Output"/>.</returns>
    public int Decode(ReadOnlySpan<byte> bytes, int offset, CodeMode mode, bool single, FrameProbes? probes, out int end)
    {
        int length = Math.Min(bytes.Length, MaxInstructions * MaxLength);
        bytes[..length].CopyTo(_input);
        Decoder decoder = mode switch
        {
            CodeMode.Long64 => _long64,
            _ => throw new InvalidOperationException($"no decoder for {mode}"),
        };
        int position = 0;
        int count = 0;
        int limit = single ? 1 : MaxInstructions;
        while (count < limit && position < length)
        {
            if (probes is not null && probes.Contains(offset + position))
            {
                if (count == 0)
                {
                    _output[0] = ProbeAt(probes, offset);
                    end = offset + 1;
                    return 1;
                }

                break;
            }

            _reader.Restart(position, length);
            decoder.IP = (ulong)(offset + position);
            decoder.Decode(out Instruction instruction);
            Op op = default;
            op.Offset = (ushort)(offset + position);
            op.Position = (ushort)count;
            op.Length = (byte)instruction.Length;
            op.Flags = single ? OpFlags.Private : OpFlags.None;
            bool ends;
            if (instruction.IsInvalid)
            {
                ends = true;
                int left = length - position;
                if (decoder.LastError == DecoderError.NoMoreBytes && left < MaxLength && !single)
                {
                    op.Handler = &FlowHandlers.CrossPage;
                    op.Length = (byte)left;
                }
                else
                {
                    // An instruction that would be longer than 15 bytes is #GP, any other undefined one #UD (SDM 2A §2.3.11).
                    op.Handler = instruction.Length >= MaxLength ? &SystemHandlers.GeneralProtection : &SystemHandlers.Undefined;
                    op.Length = (byte)Math.Clamp(instruction.Length, 1, left);
                }
            }
            else
            {
                ends = _selector.Select(instruction, ref op);
            }

            position += op.Length;
            _output[count++] = op;
            if (ends && !single)
            {
                end = offset + position;
                return count;
            }
        }

        // The block stops without a jump: go on at the next offset.
        Op next = default;
        next.Handler = offset + position >= 4096 || single ? &FlowHandlers.NextPage : &FlowHandlers.NextBlock;
        next.Offset = (ushort)(offset + position);
        next.Position = (ushort)count;
        next.Imm = offset + position;
        next.Flags = single ? OpFlags.Private : OpFlags.None;
        _output[count++] = next;
        end = offset + position;
        return count;
    }

    /// <summary>No instruction, so without a length; stands where one begins.</summary>
    private static Op ProbeAt(FrameProbes probes, int offset)
    {
        Op op = default;
        op.Handler = &FlowHandlers.Probe;
        op.Offset = (ushort)offset;
        op.Disp = (long)((probes.Frame << GuestMemory.PageShift) + (uint)offset);
        return op;
    }

    private sealed class Reader(byte[] bytes) : CodeReader
    {
        private int _position;
        private int _end;

        public void Restart(int position, int end)
        {
            _position = position;
            _end = end;
        }

        public override int ReadByte() => _position < _end ? bytes[_position++] : -1;
    }
}
