using System.Buffers.Binary;
using System.Numerics;

namespace Shinano.XenStore.Server.Journal;

/// <summary>CRC-32C (Castagnoli), RFC 3720 §12.1: initial value and final inversion of all ones.</summary>
internal static class Crc32C
{
    internal static uint Compute(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        while (bytes.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return ~crc;
    }
}
