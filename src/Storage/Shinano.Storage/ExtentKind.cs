namespace Shinano.Storage;

/// <summary>What an image knows of a range without reading it.</summary>
public enum ExtentKind
{
    /// <summary>Any bytes.</summary>
    Data,

    /// <summary>Zeroes.</summary>
    Zero,

    /// <summary>Not held by the layers that were looked at: the layer below says what it is.</summary>
    Below,
}
