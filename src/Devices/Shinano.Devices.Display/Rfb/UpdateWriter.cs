using System.Buffers;
using Shinano.Devices.Display.Rfb.Encodings;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>Writes updates to one viewer, band by band: a frame is never in memory as a whole, and nothing is queued behind it. One task.</summary>
internal sealed class UpdateWriter(IDisplaySurface surface, Func<ReadOnlyMemory<byte>, CancellationToken, Task> send) : IDisposable
{
    /// <summary>Rows of a band: a ZRLE tile's.</summary>
    private const int BandRows = 64;

    /// <summary>An update in more pieces is sent as the rectangle around them.</summary>
    private const int MostAreas = 1024;

    private readonly ArrayBufferWriter<byte> _output = new();
    private readonly Dictionary<RfbEncoding, RectangleEncoder> _encoders = [];
    private uint[] _pixels = [];
    private byte[] _row = [];
    private PixelReader? _reader;
    private SurfaceMode? _readerMode;

    /// <summary>Writes one FramebufferUpdate (RFC 6143 §7.6.1).</summary>
    public async Task WriteAsync(PendingUpdate update, CancellationToken cancellation)
    {
        List<PixelArea> bands = Split(update.Areas);
        _output.ResetWrittenCount();
        _output.UpdateHeader(
            bands.Count + (update.SendsSize ? 1 : 0) + (update.SendsScreens ? 1 : 0) + (update.SendsExtendedKeys ? 1 : 0));
        WriteAnnouncements(update);
        await FlushAsync(cancellation).ConfigureAwait(false);
        RectangleEncoder encoder = EncoderFor(update.Encoding);
        foreach (PixelArea band in bands)
        {
            _output.RectangleHeader(band, encoder.Encoding);
            int count = band.Width * band.Height;
            if (_pixels.Length < count)
            {
                _pixels = new uint[count];
            }

            ReadPixels(band);
            encoder.Encode(_pixels.AsSpan(0, count), band.Width, band.Height, update.Writer, _output);
            await FlushAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (RectangleEncoder encoder in _encoders.Values)
        {
            encoder.Dispose();
        }
    }

    private static List<PixelArea> Split(IReadOnlyList<PixelArea> areas)
    {
        if (areas.Count > MostAreas)
        {
            int left = areas.Min(a => a.X);
            int top = areas.Min(a => a.Y);
            areas = [new PixelArea(left, top, areas.Max(a => a.X + a.Width) - left, areas.Max(a => a.Y + a.Height) - top)];
        }

        List<PixelArea> bands = [];
        foreach (PixelArea area in areas)
        {
            for (int y = 0; y < area.Height; y += BandRows)
            {
                bands.Add(new PixelArea(area.X, area.Y + y, area.Width, Math.Min(BandRows, area.Height - y)));
            }
        }

        return bands;
    }

    private void WriteAnnouncements(PendingUpdate update)
    {
        if (update.SendsExtendedKeys)
        {
            _output.RectangleHeader(default, RfbEncoding.ExtendedKeyEvent);
        }

        if (update.SendsScreens)
        {
            // rfbproto, ExtendedDesktopSize: x is the reason, y the status; then one screen: id, place, size, flags.
            _output.RectangleHeader(new PixelArea(update.SizeReason, update.SizeStatus, update.Width, update.Height), RfbEncoding.ExtendedDesktopSize);
            _output.UInt32(0x01000000);
            _output.UInt32(0);
            _output.UInt32(0);
            _output.UInt16(update.Width);
            _output.UInt16(update.Height);
            _output.UInt32(0);
        }

        if (update.SendsSize)
        {
            _output.RectangleHeader(new PixelArea(0, 0, update.Width, update.Height), RfbEncoding.DesktopSize);
        }
    }

    /// <summary>Reads a band of the surface; what it does not have, because it is smaller or changes just now, is black.</summary>
    private void ReadPixels(PixelArea band)
    {
        SurfaceMode mode = surface.Mode;
        if (!ReferenceEquals(mode, _readerMode))
        {
            _readerMode = mode;
            _reader = new PixelReader(mode.Format);
        }

        int width = Math.Clamp(mode.Width - band.X, 0, band.Width);
        int length = width * mode.Format.BytesPerPixel;
        if (_row.Length < length)
        {
            _row = new byte[length];
        }

        for (int row = 0; row < band.Height; row++)
        {
            Span<uint> pixels = _pixels.AsSpan(row * band.Width, band.Width);
            int y = band.Y + row;
            if (width > 0 && y < mode.Height && surface.TryCopyRow(mode, band.X, y, _row.AsSpan(0, length)))
            {
                _reader!.Read(_row, pixels[..width]);
                pixels[width..].Clear();
            }
            else
            {
                pixels.Clear();
            }
        }
    }

    private RectangleEncoder EncoderFor(RfbEncoding encoding)
    {
        if (!_encoders.TryGetValue(encoding, out RectangleEncoder? encoder))
        {
            encoder = RectangleEncoder.Create(encoding);
            _encoders.Add(encoding, encoder);
        }

        return encoder;
    }

    private async Task FlushAsync(CancellationToken cancellation)
    {
        if (_output.WrittenCount > 0)
        {
            await send(_output.WrittenMemory, cancellation).ConfigureAwait(false);
            _output.ResetWrittenCount();
        }
    }
}
