namespace Shinano.Network.Link;

/// <summary>What was found at the beginning of a stream's bytes.</summary>
public enum LinkReadStatus
{
    /// <summary>No whole frame yet.</summary>
    NeedMore,

    /// <summary>A frame.</summary>
    Frame,

    /// <summary>What no peer of ours sends: the connection ends.</summary>
    Malformed,
}
