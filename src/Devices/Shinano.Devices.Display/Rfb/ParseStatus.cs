namespace Shinano.Devices.Display.Rfb;

/// <summary>What became of an attempt to read one message.</summary>
public enum ParseStatus
{
    /// <summary>There is one.</summary>
    Complete,

    /// <summary>The bytes are the beginning of one.</summary>
    NeedMore,

    /// <summary>The bytes are the beginning of none: the connection is of no use any more.</summary>
    Malformed,
}
