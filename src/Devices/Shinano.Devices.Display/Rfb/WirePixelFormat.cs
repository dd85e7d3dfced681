using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>PIXEL_FORMAT on the wire, 16 bytes. Source: RFC 6143 §7.4.</summary>
internal static class WirePixelFormat
{
    public const int Length = 16;

    public static PixelFormat Read(ReadOnlySpan<byte> bytes, out bool isTrueColour)
    {
        isTrueColour = bytes[3] != 0;
        return new PixelFormat(
            bytes[0],
            bytes[1],
            bytes[2] != 0,
            BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            BinaryPrimitives.ReadUInt16BigEndian(bytes[8..]),
            bytes[10],
            bytes[11],
            bytes[12]);
    }

    public static void Write(Span<byte> bytes, PixelFormat format)
    {
        bytes[..Length].Clear();
        bytes[0] = (byte)format.BitsPerPixel;
        bytes[1] = (byte)format.Depth;
        bytes[2] = format.IsBigEndian ? (byte)1 : (byte)0;
        bytes[3] = 1;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[4..], (ushort)format.RedMax);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[6..], (ushort)format.GreenMax);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[8..], (ushort)format.BlueMax);
        bytes[10] = (byte)format.RedShift;
        bytes[11] = (byte)format.GreenShift;
        bytes[12] = (byte)format.BlueShift;
    }
}
