using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>A message of a viewer after the handshake. Its numbers are hostile: only the lengths have been checked. Source: RFC 6143 §7.5.</summary>
public abstract record ClientMessage
{
    private ClientMessage()
    {
    }

    /// <summary>The format to send pixels in. <paramref name="IsTrueColour"/> false asks for a colour map.</summary>
    public sealed record SetPixelFormat(PixelFormat Format, bool IsTrueColour) : ClientMessage;

    /// <summary>What the viewer takes, best first.</summary>
    public sealed record SetEncodings(IReadOnlyList<int> Encodings) : ClientMessage;

    /// <summary>Asks for what has changed in an area, or for all of it.</summary>
    public sealed record UpdateRequest(PixelArea Area, bool Incremental) : ClientMessage;

    /// <summary>A key by what it means (an X11 keysym) and, when the viewer says so, by its place.</summary>
    /// <param name="Symbol">keysym; 0 for none.</param>
    /// <param name="ScanCode">Of an XT keyboard, 0x80 or-ed in for those behind a prefix 0xe0; 0 for none.</param>
    /// <param name="IsDown">Pressed, else released.</param>
    public sealed record Key(uint Symbol, uint ScanCode, bool IsDown) : ClientMessage;

    /// <summary>The pointer's place and buttons: bit 0 left, 1 middle, 2 right, 3 wheel up, 4 wheel down.</summary>
    public sealed record Pointer(int X, int Y, int Buttons) : ClientMessage;

    /// <summary>Text of the viewer's clipboard follows, which is skipped.</summary>
    /// <param name="Length">Bytes to skip.</param>
    public sealed record CutText(int Length) : ClientMessage;

    /// <summary>The viewer wants another size.</summary>
    public sealed record SetDesktopSize(int Width, int Height) : ClientMessage;
}
