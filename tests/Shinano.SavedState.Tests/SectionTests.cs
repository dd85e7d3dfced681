namespace Shinano.SavedState.Tests;

/// <summary>The frame of a saved domain (docs/formats/saved-domain.md): its bytes, and every file that is not quite one.</summary>
public sealed class SectionTests
{
    /// <summary>Frozen: a change of these bytes is a new version of the format.</summary>
    private const string Frozen =
        "5348494E53415645" + "02000000" + "00000000"
        + "44455343" + "00000000" + "0200000000000000" + "7B7D" + "D7126392"
        + "4D414348" + "00000000" + "0A00000000000000" + "00010203040506070809" + "765C300E"
        + "454E442E" + "00000000" + "0800000000000000" + "0200000000000000" + "73B15F81";

    [Fact]
    public void The_bytes_of_a_file_are_frozen() => Assert.Equal(Frozen, Convert.ToHexString(Whole()));

    [Fact]
    public void A_migration_has_another_first_line_and_is_no_file()
    {
        MemoryStream stream = new();
        new SectionWriter(stream, SectionFormat.Migration).Write(SectionKind.Go, []);
        Assert.Equal("5348494E4D494752" + "01000000" + "00000000" + "474F2E2E" + "00000000" + "0000000000000000", Convert.ToHexString(stream.ToArray())[..64]);
        Assert.Equal(SectionKind.Go, new SectionReader(new MemoryStream(stream.ToArray()), SectionFormat.Migration).Read(out _));
        Assert.Equal(SavedStateError.NotRecognised, Refused(stream.ToArray()).Error);
        SavedStateException file = Assert.Throws<SavedStateException>(() => new SectionReader(new MemoryStream(Whole()), SectionFormat.Migration));
        Assert.Equal(SavedStateError.NotRecognised, file.Error);
    }

    [Fact]
    public void Sections_are_read_as_they_were_written()
    {
        SectionReader reader = new(new MemoryStream(Whole()));
        Assert.Equal(SectionKind.Description, reader.Read(out byte[] payload));
        Assert.Equal("{}"u8.ToArray(), payload);
        Assert.Equal(SectionKind.Machine, reader.Read(out payload));
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], payload);
        Assert.Equal(SectionKind.End, reader.Read(out _));
        Assert.Equal(SectionKind.None, reader.Read(out _));
    }

    [Fact]
    public void A_file_that_ends_anywhere_is_refused()
    {
        byte[] whole = Whole();
        for (int length = 0; length < whole.Length; length++)
        {
            SavedStateException refusal = Refused(whole[..length]);
            Assert.Equal(length == 0 ? SavedStateError.NotRecognised : SavedStateError.Truncated, refusal.Error);
        }
    }

    [Fact]
    public void A_changed_bit_anywhere_is_refused()
    {
        byte[] whole = Whole();
        for (int bit = 0; bit < whole.Length * 8; bit++)
        {
            byte[] changed = [.. whole];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            SavedStateError expected = (bit / 8) switch
            {
                < 8 => SavedStateError.NotRecognised,
                < 12 => SavedStateError.WrongVersion,
                _ => SavedStateError.Damaged,
            };

            // A longer length may lead past the file's end.
            SavedStateError found = Refused(changed).Error;
            Assert.True(found == expected || (expected == SavedStateError.Damaged && found == SavedStateError.Truncated), $"bit {bit}: {found}");
        }
    }

    [Fact]
    public void What_follows_the_end_or_is_left_out_is_refused()
    {
        Assert.Equal(SavedStateError.Damaged, Refused([.. Whole(), 0]).Error);
        byte[] whole = Whole();

        // Without its first section: the end marker counts two.
        Assert.Equal(SavedStateError.Damaged, Refused([.. whole.AsSpan(0, 16), .. whole.AsSpan(16 + 22)]).Error);
    }

    [Fact]
    public void Random_bytes_are_refused()
    {
        Random random = new(11);
        for (int i = 0; i < 2000; i++)
        {
            byte[] bytes = new byte[random.Next(200)];
            random.NextBytes(bytes);
            Whole().AsSpan(0, Math.Min(bytes.Length, random.Next(40))).CopyTo(bytes);
            Refused(bytes);
        }
    }

    [Fact]
    public void A_length_is_not_believed_before_the_file_is_so_long()
    {
        byte[] file = [.. Whole().AsSpan(0, 24), 0, 0, 0, 4, 0, 0, 0, 0];
        Assert.Equal(SavedStateError.Truncated, Refused(file).Error);
        file[27] = 0xFF;
        Assert.Equal(SavedStateError.Damaged, Refused(file).Error);
    }

    [Fact]
    public void A_reader_of_a_section_takes_no_more_than_there_is()
    {
        StateWriter writer = new();
        writer.Mark("ABCD"u8);
        writer.Put(7u);
        writer.PutFlag(true);
        writer.PutBytes("xyz"u8);
        StateReader reader = new(writer.Written);
        reader.Expect("ABCD"u8);
        Assert.Equal(7u, reader.GetCount(7));
        Assert.True(reader.GetFlag());
        Assert.Equal("xyz"u8.ToArray(), reader.GetBytes(3).ToArray());
        reader.ExpectEnd();
        Assert.Equal(SavedStateError.Senseless, Assert.Throws<SavedStateException>(() => reader.Get<byte>()).Error);
        Assert.Throws<SavedStateException>(() => new StateReader(writer.Written).ExpectEnd());
        Assert.Throws<SavedStateException>(() => new StateReader(writer.Written).Expect("ABCE"u8));
        Assert.Throws<SavedStateException>(() => new StateReader(writer.Written[4..]).GetCount(6));
        Assert.Throws<SavedStateException>(() => new StateReader(writer.Written).GetFlag());
        Assert.Throws<SavedStateException>(() => new StateReader(writer.Written[9..]).GetBytes(2));
    }

    private static byte[] Whole()
    {
        MemoryStream file = new();
        SectionWriter writer = new(file);
        writer.Write(SectionKind.Description, "{}"u8);
        writer.Write(SectionKind.Machine, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        writer.End();
        return file.ToArray();
    }

    private static SavedStateException Refused(byte[] file) =>
        Assert.Throws<SavedStateException>(() => new SectionReader(new MemoryStream(file)).VerifyRest());
}
