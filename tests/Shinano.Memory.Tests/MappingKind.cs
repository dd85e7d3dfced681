namespace Shinano.Memory.Tests;

/// <summary>How a window's memory is mapped: its contract is the same for all.</summary>
public enum MappingKind
{
    /// <summary>A domain that was never copied.</summary>
    Shared,

    /// <summary>A domain that was copied, with content of before and of after.</summary>
    Frozen,

    /// <summary>A copy.</summary>
    Adopted,

    /// <summary>A copy of a domain that had changed since it was copied before.</summary>
    AdoptedWithDelta,
}
