namespace Shinano.SavedState;

/// <summary>The frame of a saved domain: what <see cref="SectionWriter"/> writes and <see cref="SectionReader"/> reads.</summary>
/// <remarks>
/// <code>
/// file      0 "SHINSAVE"   8 version (32)   12 zero (32)      then sections, the last one END.
/// section   0 kind (32)    4 zero (32)      8 length (64)     16 payload   then CRC-32C of all before it in the section (32)
/// </code>
/// Little-endian throughout.
/// </remarks>
public static class SavedStateFormat
{
    /// <summary>Version that is written and read.</summary>
    public const uint Version = 2;

    /// <summary>Bytes before the first section.</summary>
    public const int FileHeaderSize = 16;

    /// <summary>Bytes of a section before its payload.</summary>
    public const int SectionHeaderSize = 16;

    /// <summary>Bytes of a section behind its payload.</summary>
    public const int ChecksumSize = 4;

    /// <summary>The longest payload that any section may have, bytes.</summary>
    public const int MaximumPayload = 64 << 20;
}
