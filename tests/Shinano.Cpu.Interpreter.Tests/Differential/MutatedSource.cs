using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>
/// Bytes that are nearly, or not at all, an instruction: valid ones with more prefixes, changed or random bytes. Most are undefined, too long, or something
/// else than intended; what the CPU would do outside of the comparison's reach is left out.
/// </summary>
internal sealed class MutatedSource(IReadOnlyList<Code> codes) : IInstructionSource
{
    private static readonly byte[] Prefixes =
        [0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, 0x40, 0x41, 0x42, 0x44, 0x45, 0x48, 0x49, 0x4C, 0x4F];

    public bool TryNext(CaseRandom random, ulong rip, out Instruction instruction, out byte[] bytes)
    {
        bytes = Make(random, rip);

        // What follows in the page is INT3, which may become part of the instruction.
        byte[] padded = new byte[32];
        Array.Fill(padded, (byte)0xCC);
        bytes.CopyTo(padded, 0);
        Decoder decoder = Decoder.Create(64, padded, rip);
        decoder.Decode(out instruction);
        if (!instruction.IsInvalid)
        {
            bytes = padded[..instruction.Length];
        }

        // #GP for too many bytes or #UD: the decoder does not tell which.
        return instruction.IsInvalid ? !IsUnknownToDecoder(bytes) && instruction.Length < 15 : CodeLists.IsComparable(instruction);
    }

    private byte[] Make(CaseRandom random, ulong rip)
    {
        List<byte> bytes = [];
        if (random.Percent(30))
        {
            for (int i = 0; i < 12; i++)
            {
                bytes.Add((byte)random.Next());
            }

            switch (random.Below(6))
            {
                case 0:
                    bytes.Insert(0, 0x0F);
                    break;
                case 1:
                    bytes.InsertRange(0, [0x0F, 0x38]);
                    break;
                case 2:
                    bytes.InsertRange(0, [0x0F, 0x3A]);
                    break;
                case 3:
                    bytes.Insert(0, 0xC5);
                    break;
                case 4:
                    bytes.InsertRange(0, [0xC4, (byte)((random.Next() & 0xE0) + (ulong)(1 + random.Below(3)))]);
                    break;
            }
        }
        else if (new InstructionGenerator(random).TryGenerate(random.Pick(codes), rip, out _, out byte[] valid))
        {
            bytes.AddRange(valid);
            if (random.Percent(40))
            {
                bytes[random.Below(bytes.Count)] ^= (byte)(1 << random.Below(8));
            }
        }

        int prefixes = random.Percent(60) ? random.Below(4) : random.Percent(10) ? random.Below(14) : 0;
        for (int i = 0; i < prefixes; i++)
        {
            bytes.Insert(0, random.Pick(Prefixes));
        }

        return [.. bytes.Take(24)];
    }

    // EVEX (which the host may have and a domain has not), XOP and 3DNow! of older CPUs, and the newest additions: undefined here, maybe not there.
    private static bool IsUnknownToDecoder(byte[] bytes)
    {
        int at = 0;
        while (at < bytes.Length && Prefixes.Contains(bytes[at]))
        {
            at++;
        }

        return at >= bytes.Length || bytes[at] is 0x62 or 0x8F
            || (bytes[at] == 0x0F && at + 1 < bytes.Length && bytes[at + 1] is 0x01 or 0x0F or 0xAE or 0xC7 or 0x05 or 0x34 or 0x07 or 0x35);
    }
}
