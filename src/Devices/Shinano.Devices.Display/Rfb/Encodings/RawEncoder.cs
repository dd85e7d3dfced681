using System.Buffers;
using System.Runtime.InteropServices;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb.Encodings;

/// <summary>RFC 6143 §7.7.1.</summary>
internal sealed class RawEncoder : RectangleEncoder
{
    public override RfbEncoding Encoding => RfbEncoding.Raw;

    public override void Encode(ReadOnlySpan<uint> pixels, int width, int height, PixelWriter writer, IBufferWriter<byte> output)
    {
        int length = pixels.Length * writer.Format.BytesPerPixel;
        Span<byte> span = output.GetSpan(length);
        if (BitConverter.IsLittleEndian && writer.Format with { Depth = 24 } == PixelFormat.Rgb32)
        {
            MemoryMarshal.AsBytes(pixels).CopyTo(span);
        }
        else
        {
            int at = 0;
            foreach (uint pixel in pixels)
            {
                at += writer.Write(span[at..], pixel);
            }
        }

        output.Advance(length);
    }
}
