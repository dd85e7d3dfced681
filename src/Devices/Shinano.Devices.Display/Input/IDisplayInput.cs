namespace Shinano.Devices.Display.Input;

/// <summary>Takes what viewers do. Any thread; never blocks. What the guest does not take in time is lost.</summary>
public interface IDisplayInput
{
    /// <summary>A key or a button changes.</summary>
    /// <param name="code">KEY_* of Linux's input-event-codes.h.</param>
    /// <param name="isDown">Pressed, else released.</param>
    void Key(int code, bool isDown);

    /// <summary>The pointer is somewhere, and its buttons are so.</summary>
    /// <param name="x">Column, inside the picture.</param>
    /// <param name="y">Row, inside the picture.</param>
    /// <param name="buttons">Bit 0 left, 1 middle, 2 right, 3 wheel up, 4 wheel down (RFC 6143 §7.5.5).</param>
    void Pointer(int x, int y, int buttons);
}
