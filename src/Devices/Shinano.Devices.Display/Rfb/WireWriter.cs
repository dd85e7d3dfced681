using System.Buffers;
using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>Numbers as RFB has them: big-endian.</summary>
internal static class WireWriter
{
    public static void Byte(this IBufferWriter<byte> output, int value)
    {
        output.GetSpan(1)[0] = (byte)value;
        output.Advance(1);
    }

    public static void UInt16(this IBufferWriter<byte> output, int value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(output.GetSpan(2), (ushort)value);
        output.Advance(2);
    }

    public static void UInt32(this IBufferWriter<byte> output, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(output.GetSpan(4), value);
        output.Advance(4);
    }

    /// <summary>A string behind its length (RFC 6143 §7.1.2: reason-string).</summary>
    public static void Text(this IBufferWriter<byte> output, string text)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(text);
        output.UInt32((uint)bytes.Length);
        output.Write(bytes);
    }

    /// <summary>FramebufferUpdate's head, RFC 6143 §7.6.1.</summary>
    public static void UpdateHeader(this IBufferWriter<byte> output, int rectangles)
    {
        output.UInt16(0);
        output.UInt16(rectangles);
    }

    /// <summary>A rectangle's head.</summary>
    public static void RectangleHeader(this IBufferWriter<byte> output, PixelArea area, RfbEncoding encoding)
    {
        output.UInt16(area.X);
        output.UInt16(area.Y);
        output.UInt16(area.Width);
        output.UInt16(area.Height);
        output.UInt32((uint)(int)encoding);
    }
}
