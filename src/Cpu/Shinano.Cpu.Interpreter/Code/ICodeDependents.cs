namespace Shinano.Cpu.Interpreter;

/// <summary>Something made from a domain's code besides decoded ops, which must go when the code changes. Called under the code cache's gate.</summary>
internal unsafe interface ICodeDependents
{
    /// <summary>Drops what was made from chunks of a page.</summary>
    /// <param name="chunks">A bit per <see cref="CodePage.ChunkSize"/> bytes.</param>
    /// <returns>The chunks that something still depends on.</returns>
    ulong Drop(CodePage* page, ulong chunks);

    /// <summary>Drops what a probe that was set makes wrong, or what one that was cleared made shorter: see <see cref="ProbeTable"/>, already changed.</summary>
    /// <param name="offset">The probe's place in the page.</param>
    /// <param name="set">Whether it was set.</param>
    /// <returns>The chunks that something still depends on.</returns>
    ulong DropAt(CodePage* page, int offset, bool set);
}
