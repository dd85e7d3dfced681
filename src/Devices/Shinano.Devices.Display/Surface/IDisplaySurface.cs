namespace Shinano.Devices.Display.Surface;

/// <summary>
/// A picture that someone draws and others look at: a paravirtual framebuffer, a VGA card. Thread-safe. Events come on any thread, and their
/// handlers do not block.
/// </summary>
public interface IDisplaySurface
{
    /// <summary>The picture's present geometry.</summary>
    SurfaceMode Mode { get; }

    /// <summary>Pixels were drawn, or may have been; the area may reach beyond the picture.</summary>
    event Action<PixelArea>? Drawn;

    /// <summary><see cref="Mode"/> has another value. Everything is to be looked at anew.</summary>
    event Action? ModeChanged;

    /// <summary>
    /// Copies pixels of one row as they lie in memory. The guest may draw meanwhile: what is torn is announced by <see cref="Drawn"/> afterwards.
    /// </summary>
    /// <param name="mode">The mode that the caller means.</param>
    /// <param name="x">First column.</param>
    /// <param name="y">Row.</param>
    /// <param name="destination">As many whole pixels of the mode's format as are wanted, all inside the row.</param>
    /// <returns>False when the mode is not the present one any more, or the pixels are not to be had; nothing is promised of the destination.</returns>
    bool TryCopyRow(SurfaceMode mode, int x, int y, Span<byte> destination);

    /// <summary>Tells how many look at present: a surface that costs something to keep up to date may rest at 0.</summary>
    void SetViewers(int count);
}
