using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Paravirtual.Framebuffer;

/// <summary>Where the picture lies in the framebuffer's memory; the guest's word, checked.</summary>
/// <param name="Mode">Geometry.</param>
/// <param name="Offset">Of the first pixel, bytes.</param>
internal readonly record struct FramebufferLayout(SurfaceMode Mode, int Offset)
{
    /// <summary>Bytes of a framebuffer, at most: 4096 by 4096 at 32 bits.</summary>
    public const int MaximumMemory = 64 << 20;

    /// <summary>Checks numbers of the shared page, or of a resize event.</summary>
    /// <param name="memory">Bytes that are mapped.</param>
    /// <returns>Null, and what is wrong.</returns>
    public static FramebufferLayout? TryCreate(int width, int height, int stride, int depth, int offset, int memory, out string? fault)
    {
        // Linux's xenfb has 32 bits always; the others are those that QEMU knows.
        PixelFormat? format = depth switch
        {
            8 => PixelFormat.Rgb332,
            16 => PixelFormat.Rgb565,
            24 or 32 when stride >= 4L * width => PixelFormat.Rgb32,
            _ => null,
        };
        fault = (format, width, height) switch
        {
            _ when width is < 1 or > SurfaceMode.MaximumSide || height is < 1 or > SurfaceMode.MaximumSide => $"a picture of {width} by {height} pixels",
            (null, _, _) => $"a depth of {depth} bits with {stride} bytes per line",
            _ when stride < (long)width * format!.Value.BytesPerPixel => $"{stride} bytes per line are too few for {width} pixels",
            _ when offset < 0 || offset + ((long)stride * height) > memory => $"{height} lines of {stride} bytes from {offset} on exceed {memory} bytes",
            _ => null,
        };
        return fault is null ? new FramebufferLayout(new SurfaceMode(width, height, stride, format!.Value), offset) : null;
    }

    /// <summary>A resize event. Source: public/io/fbif.h: struct xenfb_resize.</summary>
    public static FramebufferLayout? OfEvent(ReadOnlySpan<byte> @event, int memory, out string? fault) =>
        TryCreate(Number(@event, 4), Number(@event, 8), Number(@event, 12), Number(@event, 16), Number(@event, 20), memory, out fault);

    /// <summary>An update event's rectangle. Source: public/io/fbif.h: struct xenfb_update.</summary>
    public static PixelArea AreaOf(ReadOnlySpan<byte> @event) => new(Number(@event, 4), Number(@event, 8), Number(@event, 12), Number(@event, 16));

    private static int Number(ReadOnlySpan<byte> @event, int offset) => BinaryPrimitives.ReadInt32LittleEndian(@event[offset..]);
}
