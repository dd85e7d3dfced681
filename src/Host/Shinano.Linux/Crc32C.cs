using System.Buffers.Binary;
using System.Numerics;

namespace Shinano.Linux;

/// <summary>CRC-32C (Castagnoli), which guards what is written to files and streams. RFC 3720 §12.1: initial value and final inversion of all ones.</summary>
public static class Crc32C
{
    /// <summary>Checksum of a whole message.</summary>
    public static uint Compute(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <summary>Checksum of a message's beginning and these bytes.</summary>
    /// <param name="before">Checksum of the beginning; 0 for none.</param>
    /// <param name="bytes">What follows it.</param>
    public static uint Append(uint before, ReadOnlySpan<byte> bytes)
    {
        uint crc = ~before;
        while (bytes.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (byte one in bytes)
        {
            crc = BitOperations.Crc32C(crc, one);
        }

        return ~crc;
    }
}
