using Shinano.Devices.Display.Input;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Paravirtual.Framebuffer;

/// <summary>Joins a display's viewers with the keyboard that belongs to it, which comes and goes. Thread-safe.</summary>
/// <param name="surface">What the viewers look at.</param>
public sealed class InputRelay(IDisplaySurface surface) : IDisplayInput
{
    private IDisplayInput? _target;

    /// <summary>What the viewers look at.</summary>
    public IDisplaySurface Surface => surface;

    /// <summary>Gets the input; null drops it.</summary>
    public IDisplayInput? Target
    {
        get => Volatile.Read(ref _target);
        set => Volatile.Write(ref _target, value);
    }

    /// <inheritdoc/>
    public void Key(int code, bool isDown) => Target?.Key(code, isDown);

    /// <inheritdoc/>
    public void Pointer(int x, int y, int buttons) => Target?.Pointer(x, y, buttons);
}
