namespace Shinano.SavedState;

/// <summary>What a row of sections is, by what it begins with.</summary>
public sealed class SectionFormat
{
    private SectionFormat(ReadOnlySpan<byte> magic, uint version, string name, string medium)
    {
        Magic = magic.ToArray();
        Version = version;
        Name = name;
        Medium = medium;
    }

    /// <summary>A file that a domain is saved in. See docs/formats/saved-domain.md.</summary>
    public static SectionFormat SavedDomain { get; } = new("SHINSAVE"u8, SavedStateFormat.Version, "a saved domain", "file");

    /// <summary>One direction of a migration. See docs/formats/migration-stream.md.</summary>
    public static SectionFormat Migration { get; } = new("SHINMIGR"u8, 1, "a migration", "stream");

    /// <summary>Version that is written and read.</summary>
    public uint Version { get; }

    /// <summary>The first eight bytes.</summary>
    internal ReadOnlyMemory<byte> Magic { get; }

    /// <summary>For messages: what it must be.</summary>
    internal string Name { get; }

    /// <summary>For messages: what carries it.</summary>
    internal string Medium { get; }
}
