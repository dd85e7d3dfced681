namespace Shinano.Storage;

/// <summary>Which files an overlay's header may name as its backing file. A downloaded image could name any of the user's files.</summary>
public enum BackingPolicy
{
    /// <summary>Files in the overlay's own directory, links resolved.</summary>
    BesideImage,

    /// <summary>None: an image with a backing file is refused.</summary>
    Refuse,

    /// <summary>Any file or device. For images whose headers the user trusts.</summary>
    Anywhere,
}
