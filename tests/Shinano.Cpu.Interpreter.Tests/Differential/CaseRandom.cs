using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>A reproducible stream of random numbers with a taste for corner cases (SplitMix64).</summary>
internal sealed class CaseRandom(ulong seed)
{
    private static readonly ulong[] CornerIntegers =
    [
        0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
        0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF80000000, 0xFFFFFFFFFFFF8000,
        0xFFFFFFFFFFFFFF80, 0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 0x0123456789ABCDEF,
    ];

    private static readonly uint[] CornerSingles =
    [
        0, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0xFFBFFFFF, 1, 0x807FFFFF, 0x00800000,
        0x7F7FFFFF, 0xFF7FFFFF, 0x4F000000, 0xCF000000, 0x4F800000, 0x5F000000, 0x3F000000, 0x3FC00000, 0x34000000, 0x4B000001, 0x3EFFFFFF,
    ];

    private static readonly ulong[] CornerDoubles =
    [
        0, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
        0xFFF8000000000001, 0x7FF0000000000001, 0xFFF7FFFFFFFFFFFF, 1, 0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF,
        0x41E0000000000000, 0xC1E0000000000000, 0x43E0000000000000, 0xC3E0000000000000, 0x3FE0000000000000, 0x3FF8000000000000,
        0x4330000000000001, 0x3FDFFFFFFFFFFFFF, 0x36A0000000000000, 0x47F0000000000000,
    ];

    private ulong _state = seed;

    /// <summary>64 uniform bits.</summary>
    public ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>0 to <paramref name="bound"/> - 1.</summary>
    public int Below(int bound) => (int)(Next() % (uint)bound);

    /// <summary>True in so many of a hundred cases.</summary>
    public bool Percent(int chance) => Below(100) < chance;

    /// <summary>One of them.</summary>
    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>An integer that is often a corner case.</summary>
    public ulong Integer() => Below(8) switch
    {
        0 or 1 or 2 => Pick(CornerIntegers),
        3 => Next() & 0xFF,
        4 => ulong.MaxValue << Below(64),
        5 => 1UL << Below(64),
        6 => Next() & 0xFFFFFFFF,
        _ => Next(),
    };

    /// <summary>Fills whole 8-byte units with uniform bits.</summary>
    public void Fill(Span<byte> bytes)
    {
        foreach (ref ulong unit in MemoryMarshal.Cast<byte, ulong>(bytes))
        {
            unit = Next();
        }
    }

    /// <summary>Fills 16 bytes as some type of element.</summary>
    public void FillVector(Span<byte> bytes)
    {
        switch (Below(5))
        {
            case 0:
                foreach (ref uint single in MemoryMarshal.Cast<byte, uint>(bytes))
                {
                    single = Single();
                }

                break;
            case 1:
                foreach (ref ulong number in MemoryMarshal.Cast<byte, ulong>(bytes))
                {
                    number = Percent(70) ? Pick(CornerDoubles) : Next();
                }

                break;
            case 2:
                foreach (ref ulong integer in MemoryMarshal.Cast<byte, ulong>(bytes))
                {
                    integer = Integer();
                }

                break;
            case 3:
                // Values near one, so that arithmetic rounds instead of overflowing.
                foreach (ref uint single in MemoryMarshal.Cast<byte, uint>(bytes))
                {
                    single = 0x3F000000 + (uint)(Next() & 0x81FFFFFF);
                }

                break;
            default:
                Fill(bytes);
                break;
        }
    }

    /// <summary>An x87 register's 10 bytes: numbers of every class, invalid ones included.</summary>
    public void FillExtended(Span<byte> bytes)
    {
        ulong significand = Below(4) switch { 0 => 0x8000000000000000, 1 => Next() | 0x8000000000000000, 2 => Integer(), _ => Next() | 0x8000000000000000 };
        ushort exponent = Below(10) switch
        {
            0 => 0,
            1 => 0x7FFF,
            2 => 0x7FFE,
            3 => 1,
            4 => (ushort)Next(),
            _ => (ushort)(0x3FFF - 40 + Below(100)),
        };
        exponent |= (ushort)(Next() & 0x8000);
        MemoryMarshal.Write(bytes, significand);
        MemoryMarshal.Write(bytes[8..], exponent);
    }

    private uint Single() => Percent(70) ? Pick(CornerSingles) : (uint)Next();
}
