using System.Buffers;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb.Encodings;

/// <summary>Writes a rectangle's pixels as one encoding has them. One object per viewer, as an encoding may go on from rectangle to rectangle.</summary>
internal abstract class RectangleEncoder : IDisposable
{
    /// <summary>What the rectangle's head says.</summary>
    public abstract RfbEncoding Encoding { get; }

    /// <summary>Writes what follows the rectangle's head.</summary>
    /// <param name="pixels">0x00RRGGBB, row by row without gaps.</param>
    /// <param name="width">Columns, not 0.</param>
    /// <param name="height">Rows, not 0.</param>
    /// <param name="writer">The viewer's format.</param>
    /// <param name="output">Grows by at most the raw size and a 16th.</param>
    public abstract void Encode(ReadOnlySpan<uint> pixels, int width, int height, PixelWriter writer, IBufferWriter<byte> output);

    public static RectangleEncoder Create(RfbEncoding encoding) => encoding switch
    {
        RfbEncoding.Zrle => new ZrleEncoder(),
        RfbEncoding.Hextile => new HextileEncoder(),
        _ => new RawEncoder(),
    };

    /// <inheritdoc/>
    public virtual void Dispose()
    {
    }
}
