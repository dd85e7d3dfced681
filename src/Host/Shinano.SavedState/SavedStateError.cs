namespace Shinano.SavedState;

/// <summary>Why a saved domain is refused.</summary>
public enum SavedStateError
{
    /// <summary>The file does not begin as a saved domain does.</summary>
    NotRecognised,

    /// <summary>Of a version of the format that this program does not read.</summary>
    WrongVersion,

    /// <summary>The file ends before its end marker.</summary>
    Truncated,

    /// <summary>A checksum, a count or the order of sections does not fit: the file was damaged or changed.</summary>
    Damaged,

    /// <summary>Whole, but what it says cannot be the state of a domain.</summary>
    Senseless,
}
