namespace Shinano.Storage.Qcow2;

/// <summary>Feature bits of a version 3 header (qcow2.txt: incompatible_features, autoclear_features).</summary>
internal static class Qcow2Features
{
    public const ulong Dirty = 1 << 0;
    public const ulong Corrupt = 1 << 1;
    public const ulong ExternalData = 1 << 2;
    public const ulong CompressionType = 1 << 3;
    public const ulong ExtendedL2 = 1 << 4;

    /// <summary>What we can read.</summary>
    public const ulong Known = Dirty | Corrupt | CompressionType;

    /// <summary>The specification's names of bits that we do not support.</summary>
    public static string? NameOf(int bit) => bit switch
    {
        2 => "external data file",
        4 => "extended L2 entries",
        _ => null,
    };
}
