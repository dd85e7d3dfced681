namespace Shinano.Storage.Pools;

/// <summary>A name as ZFS writes it: <c>POOL</c>, <c>POOL/VOLUME</c> or <c>POOL/VOLUME@SNAPSHOT</c>; the volume's part may have slashes (zfs(8), "ZFS File System Hierarchy").</summary>
/// <param name="Pool">The pool.</param>
/// <param name="Volume">The volume without its pool; empty for the pool itself.</param>
/// <param name="Snapshot">Null when no snapshot is named.</param>
public sealed record VolumeName(string Pool, string Volume, string? Snapshot)
{
    private const int MostBytes = 255; // ZFS_MAX_DATASET_NAME_LEN, with its NUL

    /// <summary>The volume's name with its pool.</summary>
    public string Dataset => Volume.Length == 0 ? Pool : $"{Pool}/{Volume}";

    /// <summary>Parses any name.</summary>
    /// <param name="action">What was to be done: the beginning of the message.</param>
    /// <exception cref="VolumeException">It is no legal name.</exception>
    public static VolumeName Parse(string text, string action = "open")
    {
        ArgumentNullException.ThrowIfNull(text);
        VolumeException Refuse(string reason) => new($"cannot {action} '{text}': {reason}");
        if (text.Length > MostBytes)
        {
            throw Refuse("name is too long");
        }

        string[] halves = text.Split('@');
        if (halves.Length > 2)
        {
            throw Refuse("multiple '@' delimiters in name");
        }

        string[] parts = halves[0].Split('/');
        if (text.Length == 0 || halves[0].Length == 0 || parts.Any(part => part.Length == 0) || (halves.Length == 2 && halves[1].Length == 0))
        {
            throw Refuse(text.StartsWith('/') ? "leading slash in name" : text.EndsWith('/') ? "trailing slash in name" : "empty component in name");
        }

        foreach (char letter in text)
        {
            if (!(char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.' or ':' or '/' or '@'))
            {
                throw Refuse($"invalid character '{letter}' in name");
            }
        }

        if (!char.IsAsciiLetter(parts[0][0]))
        {
            throw Refuse("name must begin with a letter");
        }

        if (halves.Length == 2 && (halves[1].Contains('/') || parts.Length == 1))
        {
            throw Refuse(parts.Length == 1 ? "a pool has no snapshots, its volumes have" : "invalid character '/' in snapshot name");
        }

        return parts.Any(part => part is "." or "..")
            ? throw Refuse("self reference, '.' or '..' is found in name")
            : new VolumeName(parts[0], string.Join('/', parts[1..]), halves.Length == 2 ? halves[1] : null);
    }

    /// <summary>Parses the name of a volume.</summary>
    /// <exception cref="VolumeException">It names a pool or a snapshot, or is not legal.</exception>
    public static VolumeName ParseVolume(string text, string action)
    {
        VolumeName name = Parse(text, action);
        return name.Snapshot is not null
            ? throw new VolumeException($"cannot {action} '{text}': operation not applicable to snapshots")
            : name.Volume.Length == 0 ? throw new VolumeException($"cannot {action} '{text}': it is a pool, not a volume") : name;
    }

    /// <summary>Parses the name of a snapshot.</summary>
    /// <exception cref="VolumeException">It names something else.</exception>
    public static VolumeName ParseSnapshot(string text, string action)
    {
        VolumeName name = Parse(text, action);
        return name.Snapshot is null ? throw new VolumeException($"cannot {action} '{text}': missing '@' delimiter in snapshot name") : name;
    }

    /// <inheritdoc/>
    public override string ToString() => Snapshot is null ? Dataset : $"{Dataset}@{Snapshot}";
}
