namespace Shinano.Cpu.Translator;

/// <summary>An access's part in a group that one check serves.</summary>
internal enum AccessRole : byte
{
    /// <summary>Checked by itself.</summary>
    Single,

    /// <summary>The first of a group: its check is for all.</summary>
    Head,

    /// <summary>Checked by its group's head.</summary>
    Member,
}
