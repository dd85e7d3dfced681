namespace Shinano.Devices.Display.Rfb;

/// <summary>Encodings and pseudo-encodings that we know. Source: RFC 6143 §7.7, §7.8 and the registry in the community's rfbproto document.</summary>
public enum RfbEncoding
{
    Raw = 0,
    Hextile = 5,

    /// <summary>Zlib run-length encoding, RFC 6143 §7.7.6.</summary>
    Zrle = 16,

    /// <summary>The viewer follows a change of the picture's size, RFC 6143 §7.8.2.</summary>
    DesktopSize = -223,

    /// <summary>Likewise, with screens, and requests of the viewer (rfbproto: ExtendedDesktopSize).</summary>
    ExtendedDesktopSize = -308,

    /// <summary>The viewer sends positions of keys beside their symbols (rfbproto: QEMU Extended Key Event).</summary>
    ExtendedKeyEvent = -258,
}
