namespace Shinano.Control.Daemon.Snapshots;

/// <summary>Names of domains' snapshots: those that volumes' snapshots can have (zfs(8)), so that all parts have the same.</summary>
internal static class SnapshotName
{
    private const int MostLetters = 64;

    /// <summary>What is wrong with a name; null for a good one.</summary>
    public static string? Check(string name) => name.Length is 0 or > MostLetters ? $"a snapshot's name has 1 to {MostLetters} letters"
        : name[0] == '.' ? "a snapshot's name does not begin with a dot"
        : name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.' or ':') ? null
        : "a snapshot's name has letters, digits, '_', '-', '.' and ':' only";
}
